"""Serve a Service to everybody who dials, each connection in a task of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from orchestr8 import limits
from orchestr8.errors import OutcomeUnknown, RemoteProtocolError, Unavailable
from orchestr8.logs import get_logger
from orchestr8.rpc.live import Connection, live
from orchestr8.rpc.network import Network
from orchestr8.rpc.service import Peer, Service

__all__ = ["serve"]

_log = get_logger()


async def serve(
    network: Network,
    address: str,
    service: Service,
    on_connection: Callable[[Connection], Awaitable[None]] | None = None,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve for ever. ``on_connection`` runs beside each connection and is cancelled with it, for calls back.

    A peer without a certificate gets the public methods, small frames, and RPC_ANONYMOUS_SECONDS. Started with the
    address that was bound.
    """

    async def handle(transport: trio.abc.Stream, peer: Peer) -> None:
        known = bool(peer.roles)
        frame_bytes = limits.RPC_FRAME_BYTES if known else limits.RPC_FRAME_BYTES_BEFORE_LOGIN
        async with live(transport, peer, service, frame_bytes) as connection:
            async with trio.open_nursery() as nursery:
                if on_connection is not None:
                    nursery.start_soon(_beside, connection, on_connection)
                with trio.CancelScope() as patience:
                    if not known:
                        patience.deadline = trio.current_time() + limits.RPC_ANONYMOUS_SECONDS
                    await connection.wait_closed()
                nursery.cancel_scope.cancel()
        if isinstance(connection.closed_reason, RemoteProtocolError):
            _log.warning(
                "connection closed", peer=peer.name, address=peer.address, reason=str(connection.closed_reason)
            )

    await network.serve(address, handle, task_status=task_status)


async def _beside(connection: Connection, on_connection: Callable[[Connection], Awaitable[None]]) -> None:
    try:
        await on_connection(connection)
    except* (Unavailable, OutcomeUnknown):
        if connection.closed_reason is None:
            raise  # trouble elsewhere, which its owner should have handled
