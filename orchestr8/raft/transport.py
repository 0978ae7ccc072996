"""Links between masters: one outgoing connection to each peer, on it a stream ``raft`` with messages in order.

Each master dials every other and sends on its own connection; what it receives comes on the peer's. So a link exists
one way as soon as one side can dial, and the death of a peer shows at once. The promise to the replica: in order, no
duplicates, nothing survives a reconnect, a bounded queue whose overflow is a disconnect (the peer is then caught up
from what both hold). Peers are masters by certificate, and members by the name in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from random import Random
from typing import Any, Protocol

import structlog
import trio

from orchestr8 import limits
from orchestr8.errors import (
    Forbidden,
    Orchestr8Error,
    OutcomeUnknown,
    RemoteProtocolError,
    Unauthenticated,
    Unavailable,
)
from orchestr8.raft import messages
from orchestr8.raft.messages import Message
from orchestr8.rpc.client import Connection, connect
from orchestr8.rpc.network import Network
from orchestr8.rpc.service import MASTERS, MessageStream, Peer

STREAM = "raft"
_DIAL_SECONDS = (0.1, 0.2)  # first pause before dialing again, doubled up to:
_DIAL_SECONDS_MAX = 1.0
_REFUSED_SECONDS = 5.0  # somebody must mend a certificate or a setting first
_FRAME_BYTES = limits.LOG_ENTRY_BYTES // 2  # messages that wait travel together until they are this long

_log = structlog.get_logger("orchestr8.raft")


class Inbox(Protocol):
    """Where links report; the driver's."""

    def connected(self, peer: str) -> None: ...
    def disconnected(self, peer: str) -> None: ...
    async def received(self, peer: str, message: Message) -> None: ...


class Links:
    def __init__(self, me: str, members: Mapping[str, str], network: Network, inbox: Inbox, random: Random) -> None:
        """``members``: name to ``host:port``, ``me`` included."""
        self._links = {name: _Link(name, address) for name, address in members.items() if name != me}
        self._network = network
        self._inbox = inbox
        self._random = random
        self._sessions: dict[str, object] = {}

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for link in self._links.values():
                nursery.start_soon(self._keep, link)

    def send(self, peer: str, message: Message) -> None:
        self._links[peer].put(message)

    def connection(self, peer: str) -> Connection | None:
        """For calls to ``peer``; None while there is none."""
        link = self._links.get(peer)
        return None if link is None else link.connection

    async def serve(self, peer: Peer, _params: Any, stream: MessageStream) -> None:
        """The stream ``raft`` as a peer opens it."""
        self.check(peer)
        self._links[peer.short_name].hurry()
        session = self._sessions[peer.short_name] = object()
        async for batch in stream:
            if self._sessions[peer.short_name] is not session:
                return  # the peer has dialed again; what is left of the old connection must not mix with the new
            if not isinstance(batch, list):
                raise RemoteProtocolError("raft: a stream message is a list of messages")
            for value in batch:
                await self._inbox.received(peer.short_name, messages.parse(value))

    def check(self, peer: Peer) -> None:
        """Raises Forbidden for whoever is not a fellow master."""
        if MASTERS not in peer.roles or peer.short_name not in self._links:
            raise Forbidden(f"{peer.name or peer.address} is not a member of this store")

    async def _keep(self, link: _Link) -> None:
        """Dial, serve, dial again."""
        pause = self._random.uniform(*_DIAL_SECONDS)
        while True:
            try:
                async with connect(self._network, link.address) as connection:
                    if connection.peer.short_name != link.name or MASTERS not in connection.peer.roles:
                        raise Unauthenticated(f"{link.address} is {connection.peer.name!r}, not master {link.name!r}")
                    pause = self._random.uniform(*_DIAL_SECONDS)
                    await link.use(connection, self._inbox)
            except (Unavailable, OutcomeUnknown):
                pass  # expected: the peer is down, restarts, or the network is cut
            except Orchestr8Error as error:
                _log.warning("peer refused", peer=link.name, address=link.address, reason=error.message)
                pause = _REFUSED_SECONDS
            await link.pause(pause)
            pause = min(2 * pause, _DIAL_SECONDS_MAX)


class _Link:
    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.connection: Connection | None = None
        self._queue: deque[Message] = deque()
        self._more = trio.Event()
        self._hurry = trio.Event()
        self._scope: trio.CancelScope | None = None

    def put(self, message: Message) -> None:
        if self.connection is None:
            return
        self._queue.extend(messages.pieces(message))
        if len(self._queue) > limits.RAFT_PEER_QUEUE_MESSAGES and self._scope is not None:
            self._scope.cancel()
        self._more.set()

    async def use(self, connection: Connection, inbox: Inbox) -> None:
        async with connection.stream(STREAM) as stream:
            self._queue.clear()
            self.connection = connection
            inbox.connected(self.name)
            refused: Orchestr8Error | None = None
            try:
                async with trio.open_nursery() as nursery:
                    self._scope = nursery.cancel_scope
                    nursery.start_soon(self._end_with, connection)
                    try:
                        await self._send(stream)
                    except Orchestr8Error as error:
                        refused = error
                        nursery.cancel_scope.cancel()
            finally:
                self.connection = self._scope = None
                inbox.disconnected(self.name)
            if refused is not None:
                raise refused

    async def _end_with(self, connection: Connection) -> None:
        await connection.wait_closed()
        assert self._scope is not None
        self._scope.cancel()

    async def _send(self, stream: MessageStream) -> None:
        while True:
            batch, size = [], 0
            while self._queue and size < _FRAME_BYTES:
                message = self._queue.popleft()
                size += messages.size_bytes(message)
                batch.append(message)
            if batch:
                await stream.send(batch)
            else:
                self._more = trio.Event()
                await self._more.wait()

    def hurry(self) -> None:
        """The peer is alive: it has just dialed us."""
        self._hurry.set()

    async def pause(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._hurry.wait()
        self._hurry = trio.Event()
