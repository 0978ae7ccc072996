"""Bringing a follower up that needs more than the log holds: the leader's snapshot file over a stream of its own.

The stream ``raft.snapshot`` runs beside the log's messages on the same connection, so heartbeats pass it. The receiver
answers every piece, which opens the window for the next ones and shows the leader that it is followed. The file is
checked as a whole, read into a state, put in place on disk, and only then takes the state's place.
"""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
import trio

from orchestr8 import limits
from orchestr8.errors import CorruptState, LimitExceeded, Orchestr8Error, RemoteProtocolError, Unavailable
from orchestr8.raft import snapshot
from orchestr8.raft.disk import UNFINISHED
from orchestr8.raft.driver import Driver
from orchestr8.raft.transport import Links
from orchestr8.rpc.service import MessageStream, Peer
from orchestr8.store.state import State

STREAM = "raft.snapshot"
_WINDOW_PIECES = 4
_FILE_BYTES_MAX = 4 * limits.STORE_BYTES

_log = structlog.get_logger("orchestr8.raft")


class Offer(msgspec.Struct, frozen=True):
    """``term``: of the leader that sends; ``index``: where the snapshot ends."""

    term: int
    index: int


class Sender:
    def __init__(self, driver: Driver, links: Links) -> None:
        self._driver = driver
        self._links = links

    def start(self, peer: str, nursery: trio.Nursery) -> None:
        nursery.start_soon(self._send, peer)

    async def _send(self, peer: str) -> None:
        head = self._driver.snapshot
        connection = self._links.connection(peer)
        index = None
        try:
            if head is None or connection is None:
                return
            _log.info("sending a snapshot", peer=peer, index=head.index)
            offer = Offer(self._driver.replica.term, head.index)
            async with connection.stream(STREAM, msgspec.to_builtins(offer)) as stream:
                index = await self._pieces(peer, head, stream)
        except (Orchestr8Error, trio.EndOfChannel, FileNotFoundError) as error:
            _log.warning("snapshot not taken", peer=peer, reason=str(error))
            await trio.sleep(limits.APPEND_PERIOD_SECONDS)  # the peer will ask again
        finally:
            self._driver.replica.snapshot_ended(peer, index, trio.current_time())
            self._driver.wake()

    async def _pieces(self, peer: str, head: snapshot.Head, stream: MessageStream) -> int:
        offset = unanswered = 0
        while piece := await self._driver.disk.read(head.name, offset, limits.SNAPSHOT_CHUNK_BYTES):
            await stream.send(piece)
            offset += len(piece)
            unanswered += 1
            while unanswered >= _WINDOW_PIECES:
                await self._answer(peer, stream)
                unanswered -= 1
        await stream.send_eof()
        while True:
            index = await self._answer(peer, stream)
            if index:
                return index

    async def _answer(self, peer: str, stream: MessageStream) -> int:
        """0: a piece was taken; else the index at which the peer now stands."""
        answer = await stream.receive()
        if type(answer) is not int or answer < 0:
            raise RemoteProtocolError("raft.snapshot: an answer is an index")
        self._driver.replica.snapshot_progress(peer, trio.current_time())
        return answer


class Receiver:
    def __init__(self, driver: Driver, links: Links) -> None:
        self._driver = driver
        self._links = links
        self._busy = False

    async def serve(self, peer: Peer, params: Any, stream: MessageStream) -> None:
        self._links.check(peer)
        offer = msgspec.convert(params, Offer)
        replica = self._driver.replica
        if offer.term < replica.term or replica.leader != peer.short_name:
            raise Unavailable(f"{peer.short_name} does not lead term {replica.term}")
        if self._busy:
            raise Unavailable("another snapshot is just coming in")
        self._busy = True
        try:
            head = await self._take(offer, stream)
            await stream.send(head.index if head is not None else replica.applied_index)
            await stream.send_eof()
        finally:
            self._busy = False

    async def _take(self, offer: Offer, stream: MessageStream) -> snapshot.Head | None:
        disk = self._driver.disk
        name = f"incoming{UNFINISHED}"
        await disk.remove(name)
        offset = 0
        async for piece in stream:
            if not isinstance(piece, bytes):
                raise RemoteProtocolError("raft.snapshot: a piece is bytes")
            if offset + len(piece) > _FILE_BYTES_MAX:
                raise LimitExceeded(f"a snapshot of more than {_FILE_BYTES_MAX} bytes")
            await disk.write(name, offset, piece)
            offset += len(piece)
            await stream.send(0)
        try:
            head, chunks = snapshot.decode(name, await disk.read(name))
            state = State.load(chunks)
        except CorruptState as error:
            raise RemoteProtocolError(f"the snapshot that came is damaged: {error.message}") from error
        if head.index != offer.index or head.index <= self._driver.replica.applied_index:
            return None
        await disk.rename(name, head.name)
        if not self._driver.install(state, head):
            return None
        _log.info("installed a snapshot", index=head.index, term=head.term)
        await self._driver.use_snapshot(head)
        return head
