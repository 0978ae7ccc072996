"""Where each worker is connected, and how a stream reaches it from any master.

A worker opens one connection to one master. Masters hold one link to each other: over it each tells the others, once a
period and at once when a worker comes or goes, which workers it hears; over it a stream for a worker that is connected
elsewhere is relayed. One hop: the relaying end only looks among its own workers.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any

import msgspec
import structlog
import trio

from orchestr8 import limits
from orchestr8.errors import Forbidden, Orchestr8Error, Unavailable
from orchestr8.master.nodes.heartbeats import Heartbeats
from orchestr8.master.nodes.seams import Connection
from orchestr8.rpc.service import MASTERS, NODES, MessageStream, Peer, Service

NODE_NAME_PREFIX = "system:node:"
_WORKER_STREAMS = ("pod.logs", "pod.exec")
_REDIAL_SECONDS_MAX = 5.0
_REPORT_TIMEOUT_SECONDS = limits.NODE_LEASE_SECONDS / 2

_log = structlog.get_logger("orchestr8.nodes")

Dial = Callable[[str], AbstractAsyncContextManager[Connection]]


class ReportParams(msgspec.Struct, frozen=True):
    """Params and result of ``master.nodes``: who reports, and the age in seconds of its workers' last heartbeats.

    A master's process counts its reports from ``instance``, its random name for itself: of two that overtake each
    other on the way the later one counts.
    """

    master: str
    instance: int
    number: int
    ages: Annotated[dict[str, float], msgspec.Meta(max_length=limits.RPC_MAX_MAP_ITEMS)]


class RelayParams(msgspec.Struct, frozen=True):
    """Params of the stream ``master.worker_stream``: the stream to open to a worker of that master."""

    node: str
    method: str
    params: Any = None


def node_name(peer: Peer) -> str:
    """The node that a certificate speaks for. Raises Forbidden."""
    if NODES not in peer.roles or not peer.name.startswith(NODE_NAME_PREFIX):
        raise Forbidden(f"{peer.name or 'a peer without a certificate'} is no node: its certificate names none")
    return peer.name.removeprefix(NODE_NAME_PREFIX)


class WorkerSessions:
    """``dial(address)`` opens a connection to another master. ``members``: name to address, this one included."""

    def __init__(
        self, me: str, members: dict[str, str], dial: Dial, heartbeats: Heartbeats, chance: random.Random
    ) -> None:
        self._me = me
        self._others = {name: address for name, address in members.items() if name != me}
        self._dial = dial
        self._heartbeats = heartbeats
        self._chance = chance
        self._workers: dict[str, Connection] = {}
        self._links: dict[str, Connection] = {}
        self._news = trio.Event()
        self._instance = chance.getrandbits(53)
        self._reports_made = 0
        self._newest: dict[str, tuple[int, int]] = {}  # of each other master: instance and number of its last report

    @asynccontextmanager
    async def open_stream(self, node: str, method: str, params: dict[str, Any]) -> AsyncIterator[MessageStream]:
        """A stream to ``node`` for the length of the block, whichever master it is connected to.

        Raises Unavailable when no master hears the node, and what the worker's handler raises.
        """
        worker = self._workers.get(node)
        if worker is not None:
            async with worker.stream(method, params) as stream:
                yield stream
            return
        master = self._heartbeats.where(node, trio.current_time())
        link = self._links.get(master) if master is not None else None
        if link is None:
            raise Unavailable(f"node {node} is not connected to any master: see orchestr8 get nodes, then try again")
        async with link.stream("master.worker_stream", {"node": node, "method": method, "params": params}) as stream:
            yield stream

    async def on_connection(self, connection: Connection) -> None:
        """Runs beside every connection that this master accepts; remembers it while it lives if it is a worker's."""
        try:
            node = node_name(connection.peer)
        except Forbidden:
            return  # another master, or a host that has come to join
        self._workers[node] = connection
        self._heartbeats.connected(node, trio.current_time())
        self._tell_now()
        _log.info("worker connected", node=node, address=connection.peer.address)
        try:
            await connection.wait_closed()
        finally:
            if self._workers.get(node) is connection:  # else it has opened a newer one already
                del self._workers[node]
                self._heartbeats.disconnected(node)
                self._tell_now()
                _log.info("worker disconnected", node=node)

    def service(self) -> Service:
        """What other masters may ask of this one."""
        return Service({"master.nodes": self._take_report}, {"master.worker_stream": self._relay}, roles=(MASTERS,))

    async def run(self) -> None:
        """Keeps the links and tells the others, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tick)
            for name, address in self._others.items():
                nursery.start_soon(self._keep_link, name, address)

    # -- links ----------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            self._heartbeats.tick(trio.current_time())
            await trio.sleep(limits.HEARTBEAT_SECONDS)

    async def _keep_link(self, name: str, address: str) -> None:
        """Trouble with one master is expected and retried here."""
        failures = 0
        while True:
            try:
                async with self._dial(address) as link:
                    self._links[name] = link
                    failures = 0
                    _log.info("linked to master", master=name)
                    try:
                        await self._report(name, link)
                    finally:
                        del self._links[name]
            except Orchestr8Error as error:
                if not failures:
                    _log.info("no link to master", master=name, code=error.code, error=error.message)
            failures += 1
            longest = min(limits.HEARTBEAT_SECONDS * 2 ** min(failures - 1, 8), _REDIAL_SECONDS_MAX)
            await trio.sleep(longest * self._chance.uniform(0.5, 1.0))

    async def _report(self, name: str, link: Connection) -> None:
        """Until the link breaks.

        An answer is a report, too, so of two masters one asks every period: the one whose name comes first. The other
        speaks up when it has news, or when it was not asked.
        """
        asks = self._me < name
        while True:
            news = self._news
            with trio.move_on_after(_REPORT_TIMEOUT_SECONDS) as patience:
                answer = msgspec.convert(await link.call("master.nodes", self._own_report()), ReportParams)
            if patience.cancelled_caught:
                raise Unavailable(f"master {name} does not answer")
            self._heard(answer)
            with trio.move_on_after(limits.HEARTBEAT_SECONDS):
                await news.wait()
            while not (asks or news.is_set()) and self._heartbeats.touched(name, trio.current_time()):
                with trio.move_on_after(limits.HEARTBEAT_SECONDS):
                    await news.wait()

    def _tell_now(self) -> None:
        self._news.set()
        self._news = trio.Event()

    # -- what other masters ask -----------------------------------------------------------------------

    async def _take_report(self, peer: Peer, params: Any) -> dict[str, Any]:
        self._heard(msgspec.convert(params, ReportParams))
        return self._own_report()

    def _own_report(self) -> dict[str, Any]:
        self._reports_made += 1
        ages = self._heartbeats.report(trio.current_time())
        return {"master": self._me, "instance": self._instance, "number": self._reports_made, "ages": ages}

    def _heard(self, report: ReportParams) -> None:
        instance, number = self._newest.get(report.master, (0, 0))
        if report.instance == instance and report.number < number:
            return
        self._newest[report.master] = (report.instance, report.number)
        self._heartbeats.heard(report.master, report.ages, trio.current_time())

    async def _relay(self, peer: Peer, params: Any, stream: MessageStream) -> None:
        asked = msgspec.convert(params, RelayParams)
        if asked.method not in _WORKER_STREAMS:
            raise Forbidden(f"{asked.method} is not a stream that masters relay")
        worker = self._workers.get(asked.node)
        if worker is None:
            raise Unavailable(f"node {asked.node} is no longer connected to master {self._me}: try again")
        async with worker.stream(asked.method, asked.params) as to_worker:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_forward, stream, to_worker)
                async for message in to_worker:
                    await stream.send(message)
                nursery.cancel_scope.cancel()


async def _forward(source: MessageStream, sink: MessageStream) -> None:
    """Until the source ends its half; what it ends with (an error, a cut) ends the relay from the other direction."""
    try:
        async for message in source:
            await sink.send(message)
        await sink.send_eof()
    except trio.BrokenResourceError:
        return  # the worker has ended the stream; its last messages are on their way back
