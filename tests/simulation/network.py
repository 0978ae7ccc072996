"""A network in memory: byte streams with delay, resets and partitions, all drawn from one seeded random source.

``SimNetwork`` is the wire; ``network.host(name, roles, address)`` is what one process gets: a rpc.network.Network whose
peer identity is (name, roles). Time is trio's, so under a MockClock a second of delay costs nothing.
A partition holds bytes back as TCP would: they arrive after ``heal``, unless the connection was reset meanwhile
(``reset``, or ``silence_seconds`` of partition, after which both ends see it broken). ``cut(a, b)`` cuts both ways,
``cut_one_way(a, b)`` only what a sends to b.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from random import Random

import trio

from orchestr8.errors import Unavailable
from orchestr8.rpc.network import StreamHandler
from orchestr8.rpc.service import Peer

_BUFFER_BYTES = 256 * 1024  # a sender waits when so much is on its way


class SimNetwork:
    def __init__(
        self,
        random: Random,
        delay_seconds: tuple[float, float] = (0.0005, 0.002),
        dial_seconds: float = 3.0,
        silence_seconds: float = 15.0,
    ) -> None:
        """``delay_seconds``: bounds of one way's delay; ``dial_seconds``: how long a dial into a partition hangs."""
        self.random = random
        self.delay_seconds = delay_seconds
        self.dial_seconds = dial_seconds
        self.silence_seconds = silence_seconds
        self._cut: dict[tuple[str, str], float] = {}  # direction -> since when
        self._listeners: dict[str, tuple[SimHost, StreamHandler, trio.Nursery]] = {}
        self._streams: list[_Connection] = []
        self._ports = 40_000

    def host(self, name: str, roles: Iterable[str], address: str, identity: str = "") -> SimHost:
        """What one process dials and serves with. ``address``: ``host:port`` it may serve at; ``identity``: the name in
        its certificate if that is not ``name``, by which faults know it."""
        return SimHost(self, name, frozenset(roles), address, identity or name)

    # -- faults ------------------------------------------------------------------------------------------------
    def cut_one_way(self, sender: str, receiver: str) -> None:
        self._cut.setdefault((sender, receiver), trio.current_time())

    def cut(self, one: str, other: str) -> None:
        self.cut_one_way(one, other)
        self.cut_one_way(other, one)

    def isolate(self, name: str, others: Iterable[str]) -> None:
        for other in others:
            if other != name:
                self.cut(name, other)

    def heal(self) -> None:
        """All cuts end; connections that were silent for too long are found broken."""
        now = trio.current_time()
        for connection in list(self._streams):
            since = [self._cut[way] for way in (connection.way, connection.way[::-1]) if way in self._cut]
            if since and now - min(since) >= self.silence_seconds:
                connection.reset()
        self._cut.clear()
        for connection in self._streams:
            connection.nudge()

    def reset(self, one: str, other: str) -> None:
        """Every connection between the two breaks now."""
        for connection in list(self._streams):
            if set(connection.way) == {one, other}:
                connection.reset()

    def kill(self, name: str) -> None:
        """The process of ``name`` is gone: its peers see resets, nobody listens."""
        for connection in list(self._streams):
            if name in connection.way:
                connection.reset()
        for address, (host, _, _) in list(self._listeners.items()):
            if host.name == name:
                del self._listeners[address]

    def passes(self, sender: str, receiver: str) -> bool:
        return (sender, receiver) not in self._cut

    # -- for hosts ---------------------------------------------------------------------------------------------
    async def dial(self, caller: SimHost, address: str) -> tuple[trio.abc.Stream, Peer]:
        await trio.sleep(self.delay())
        found = self._listeners.get(address)
        if found is None:
            raise Unavailable(f"cannot reach {address}: connection refused")
        host, handler, nursery = found
        if not (self.passes(caller.name, host.name) and self.passes(host.name, caller.name)):
            await trio.sleep(self.dial_seconds)
            raise Unavailable(f"no answer from {address}")
        self._ports += 1
        connection = _Connection(self, caller.name, host.name)
        self._streams.append(connection)
        nursery.start_soon(self._serve, connection, handler, caller.peer(f"{caller.name}:{self._ports}"))
        return connection.ends[0], host.peer(address)

    async def _serve(self, connection: _Connection, handler: StreamHandler, peer: Peer) -> None:
        try:
            await handler(connection.ends[1], peer)
        finally:
            connection.reset()

    async def serve(self, host: SimHost, address: str, handler: StreamHandler, started: trio.TaskStatus[str]) -> None:
        if address in self._listeners:
            raise OSError(98, f"{address} is in use")
        async with trio.open_nursery() as nursery:
            mine = (host, handler, nursery)
            self._listeners[address] = mine
            started.started(address)
            try:
                await trio.sleep_forever()
            finally:
                if self._listeners.get(address) is mine:
                    del self._listeners[address]

    def delay(self) -> float:
        return self.random.uniform(*self.delay_seconds)

    def forget(self, connection: _Connection) -> None:
        if connection in self._streams:
            self._streams.remove(connection)


class SimHost:
    """A rpc.network.Network with an identity."""

    def __init__(self, network: SimNetwork, name: str, roles: frozenset[str], address: str, identity: str) -> None:
        self.name = name
        self.identity = identity
        self.address = address
        self._network = network
        self._roles = roles

    def peer(self, address: str) -> Peer:
        return Peer(name=self.identity, roles=self._roles, address=address)

    async def dial(self, address: str) -> tuple[trio.abc.Stream, Peer]:
        return await self._network.dial(self, address)

    async def serve(
        self, address: str, handler: StreamHandler, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        await self._network.serve(self, address, handler, task_status)


class _Connection:
    def __init__(self, network: SimNetwork, dialer: str, listener: str) -> None:
        self.way = (dialer, listener)
        self._network = network
        there = _Pipe(network, dialer, listener)
        back = _Pipe(network, listener, dialer)
        self._pipes = (there, back)
        self.ends = (_End(self, back, there), _End(self, there, back))

    def reset(self) -> None:
        for pipe in self._pipes:
            pipe.broken = True
            pipe.nudge()
        self._network.forget(self)

    def nudge(self) -> None:
        for pipe in self._pipes:
            pipe.nudge()

    def closed(self) -> None:
        if all(pipe.ended for pipe in self._pipes):
            self._network.forget(self)


class _Pipe:
    """One direction."""

    def __init__(self, network: SimNetwork, sender: str, receiver: str) -> None:
        self._network = network
        self._way = (sender, receiver)
        self._chunks: deque[tuple[float, bytes]] = deque()  # when it arrives, what; empty bytes end the stream
        self._bytes = 0
        self._arrival = 0.0
        self._changed = trio.lowlevel.ParkingLot()
        self.broken = False
        self.ended = False  # the sender has closed
        self.closed = False  # the receiver has closed

    def nudge(self) -> None:
        self._changed.unpark_all()

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        while self._bytes >= _BUFFER_BYTES and not self.broken:
            await self._changed.park()
        if self.broken or self.ended:
            raise trio.BrokenResourceError("connection reset")
        self._put(data)

    def end(self) -> None:
        if not self.ended and not self.broken:
            self._put(b"")
        self.ended = True

    def _put(self, data: bytes) -> None:
        self._arrival = max(self._arrival, trio.current_time() + self._network.delay())
        self._chunks.append((self._arrival, data))
        self._bytes += len(data)
        self.nudge()

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint()
        while True:
            if self.closed:
                raise trio.ClosedResourceError
            if self.broken:
                raise trio.BrokenResourceError("connection reset")
            if not self._chunks or not self._network.passes(*self._way):
                await self._changed.park()
            elif self._chunks[0][0] > trio.current_time():
                with trio.move_on_at(self._chunks[0][0]):
                    await self._changed.park()
            else:
                data = self._chunks[0][1]
                if data:  # the end stays, so that every later call sees it, too
                    self._chunks.popleft()
                    self._bytes -= len(data)
                    self.nudge()
                return data


class _End(trio.abc.Stream):
    def __init__(self, connection: _Connection, inbound: _Pipe, outbound: _Pipe) -> None:
        self._connection = connection
        self._inbound = inbound
        self._outbound = outbound
        self._closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._closed:
            raise trio.ClosedResourceError
        await self._outbound.send(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self._inbound.receive()

    async def aclose(self) -> None:
        self._closed = True
        self._outbound.end()
        self._inbound.closed = True
        self._inbound.nudge()
        self._connection.closed()
        await trio.lowlevel.checkpoint()
