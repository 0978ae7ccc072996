"""Dial a master and use the connection for calls and streams in both directions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orchestr8.rpc.live import Connection, Stream, live
from orchestr8.rpc.network import Network
from orchestr8.rpc.service import Service

__all__ = ["Connection", "Stream", "connect"]


@asynccontextmanager
async def connect(network: Network, address: str, service: Service | None = None) -> AsyncIterator[Connection]:
    """A connection to ``host:port`` for the length of the block; ``service`` is what the other side may ask of us.

    Raises Unavailable if nobody answers and Unauthenticated if the other side is not of this cluster. When the
    connection ends, calls raise Unavailable and ``wait_closed`` returns; nobody dials again here.
    """
    transport, peer = await network.dial(address)
    async with live(transport, peer, service or Service()) as connection:
        yield connection
