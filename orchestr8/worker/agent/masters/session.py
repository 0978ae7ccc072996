"""One session with one master at a time: register, heartbeats, assignments in, statuses out, streams served.

Any master will do. When the session ends, for whatever reason, another master is tried after a short, random pause;
``masters`` is what the last registration told, after what the settings name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import trio

from orchestr8 import limits
from orchestr8.api import codec
from orchestr8.api.node import Node
from orchestr8.errors import NotFound, Orchestr8Error
from orchestr8.logs import get_logger
from orchestr8.rpc.client import Connection, connect
from orchestr8.rpc.network import Network
from orchestr8.rpc.service import Service
from orchestr8.worker.agent.kit import Kit

_CALL_SECONDS = 10.0
_HEARTBEAT_ANSWER_SECONDS = 3.0
_PAUSE_SECONDS_FIRST = 0.1
_PAUSE_SECONDS_MAX = 5.0

Deliver = Callable[[Mapping[str, Any]], None]
Registered = Callable[[Mapping[str, Any]], None]


class Session:
    """``node()`` makes the Node object to register; ``on_registered`` gets the answer, ``deliver`` each message."""

    def __init__(
        self,
        kit: Kit,
        network: Network,
        service: Service,
        *,
        node: Callable[[], Node],
        on_registered: Registered,
        deliver: Deliver,
    ) -> None:
        self._kit = kit
        self._network = network
        self._service = service
        self._node = node
        self._on_registered = on_registered
        self._deliver = deliver
        self._masters = list(kit.settings.masters)
        self._sequence = 0

    async def run(self) -> None:
        """For ever."""
        pause_seconds = _PAUSE_SECONDS_FIRST
        kit = self._kit
        kit.random.shuffle(self._masters)
        while True:
            address, began = self._masters[0], kit.clock.monotonic_seconds()
            why = await self._one(address)
            lived_seconds = kit.clock.monotonic_seconds() - began
            get_logger().info("the session with a master ended", master=address, why=why, seconds=round(lived_seconds))
            self._masters = [*self._masters[1:], address]
            pause_seconds = _PAUSE_SECONDS_FIRST if lived_seconds > _PAUSE_SECONDS_MAX else 2 * pause_seconds
            pause_seconds = min(pause_seconds, _PAUSE_SECONDS_MAX)
            await trio.sleep(kit.random.uniform(0.5, 1.0) * pause_seconds)

    async def _one(self, address: str) -> str:
        """Why it ended."""
        ends: list[str] = []

        async def part(name: str, function: Callable[..., Any], *arguments: Any) -> None:
            try:
                await function(*arguments)
                ends.append(f"{name} ended")
            except Orchestr8Error as error:
                ends.append(f"{name}: {error.message}")
            except trio.TooSlowError:
                ends.append(f"{name}: no answer in time")
            except trio.BrokenResourceError as error:
                ends.append(f"{name}: {error}")
            nursery.cancel_scope.cancel()

        try:
            async with connect(self._network, address, self._service) as connection:
                with trio.fail_after(_CALL_SECONDS):
                    await self._register(connection)
                self._kit.outbox.repeat()
                get_logger().info("a session with a master began", master=address)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(part, "connection", connection.wait_closed)
                    nursery.start_soon(part, "heartbeat", self._heartbeats, connection)
                    nursery.start_soon(part, "assignments", self._assignments, connection)
                    nursery.start_soon(part, "status", self._kit.outbox.send, connection)
        except Orchestr8Error as error:
            ends.append(error.message)
        except trio.TooSlowError:
            ends.append("no answer to the registration")
        return ends[0] if ends else "closed"

    async def _register(self, connection: Connection) -> None:
        answer = await connection.call("node.register", {"node": codec.encode(self._node())})
        told = [str(address) for address in answer.get("masters") or ()]
        here, known = self._masters[0], self._masters[1:]
        fresh = [address for address in told if address not in self._masters]
        kept = [address for address in known if not told or address in told or address in self._kit.settings.masters]
        self._kit.random.shuffle(fresh)
        self._masters = [here, *kept, *fresh]
        self._on_registered(answer)

    async def _heartbeats(self, connection: Connection) -> None:
        while True:
            self._sequence += 1
            params = {"boot_id": self._kit.facts.boot_id, "sequence": self._sequence}
            began = self._kit.clock.monotonic_seconds()
            try:
                with trio.fail_after(_HEARTBEAT_ANSWER_SECONDS):
                    await connection.call("node.heartbeat", params)
            except NotFound:
                with trio.fail_after(_CALL_SECONDS):
                    await self._register(connection)
                self._kit.outbox.repeat()
            await trio.sleep_until(began + limits.HEARTBEAT_SECONDS)

    async def _assignments(self, connection: Connection) -> None:
        params = {"revision": self._kit.assignments().revision}
        async with connection.stream("node.assignments", params) as stream:
            async for message in stream:
                self._deliver(message)
