"""Keeps the node's network and status in step with what is known. Both loops are woken and compare before they act."""

from __future__ import annotations

import trio

from orchestr8.api import codec
from orchestr8.api.node import Node, NodeStatus
from orchestr8.logs import get_logger
from orchestr8.worker.agent.kit import Kit
from orchestr8.worker.agent.node.node_status import node_object, node_status
from orchestr8.worker.network import rules
from orchestr8.worker.network.base import NetworkFailed
from orchestr8.worker.runtime.base import Image, RuntimeFailed, RuntimeUnavailable

NETWORK_SECONDS = 0.2  # at most so often are the node's rules loaded anew
MEND_SECONDS = 10.0  # so soon is a table back that somebody else flushed, a restart of the host's firewall for one
STATUS_SECONDS = 10.0
SILENT_SECONDS = 15.0  # of the runtime, at the end of a failed look: then the node says that it is not ready
_LOOK_SECONDS = 5.0
_RETRY_SECONDS = 1.0


class NodeNetwork:
    """Routes to the other nodes' pods and the Services' rules, from the set accepted last."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._news = trio.Event()
        self._pod_cidr = ""
        self._service_cidr = kit.settings.service_cidr

    def changed(self) -> None:
        self._news.set()

    def use(self, pod_cidr: str, service_cidr: str) -> None:
        """Empty: not told."""
        self._service_cidr = service_cidr or self._service_cidr
        self._pod_cidr = pod_cidr or self._pod_cidr
        self._news.set()

    async def run(self) -> None:
        settings, network = self._kit.settings, self._kit.network
        opened: tuple[str, str] | None = None
        done: tuple[object, object] | None = None
        while True:
            with trio.move_on_after(MEND_SECONDS) as quiet:
                await self._news.wait()
            self._news = trio.Event()
            wanted = (self._pod_cidr, self._service_cidr)
            if not wanted[0]:
                continue
            known = self._kit.assignments()
            routes = rules.routes(known.nodes(), settings.node_name)
            ports = rules.service_ports(known.services(), known.slices(), settings.node_name)
            try:
                if opened != wanted:
                    await network.open(settings.node_ip, *wanted)
                    opened, done = wanted, None
                    self._kit.addresses.use(self._pod_cidr)  # from here on pods get addresses
                if done is None or done[0] != routes:
                    await network.sync_routes(routes)
                if done is None or done[1] != ports or quiet.cancelled_caught:
                    await network.sync_services(ports)
                done = (routes, ports)
            except NetworkFailed as error:
                get_logger().error("the node's network cannot be set", why=error.message)
                done = None
                self._news.set()
                await trio.sleep(_RETRY_SECONDS)
            await trio.sleep(NETWORK_SECONDS)


class OwnStatus:
    """The Node object that this node registers, and its status from then on."""

    def __init__(self, kit: Kit, runtime_version: str) -> None:
        self._kit = kit
        self._runtime_version = runtime_version
        self._status = NodeStatus()
        self._images: list[Image] = []
        self._answered_at = kit.clock.monotonic_seconds()
        self._news = trio.Event()

    def node(self) -> Node:
        return node_object(self._kit.settings, self._status)

    def repeat(self) -> None:
        """A master may not know our word, or somebody spoke over it."""
        self._news.set()

    def compare(self, told: Node) -> None:
        """``told``: this node as the masters have it. While we were away our lease may have run out."""
        said = {condition.type: condition.status for condition in told.status.conditions}
        ours = {condition.type: condition.status for condition in self._status.conditions}
        if said.get("Ready") != ours.get("Ready"):
            self._news.set()

    async def run(self) -> None:
        while True:
            with trio.move_on_after(STATUS_SECONDS):
                await self._news.wait()
            asked, self._news = self._news.is_set(), trio.Event()
            before = self._status
            await self.refresh()
            if asked or self._status != before:
                self._kit.outbox.node_status(codec.encode(self._status))
            await trio.sleep(_RETRY_SECONDS)

    async def refresh(self) -> None:
        kit, now = self._kit, self._kit.clock.monotonic_seconds()
        try:
            with trio.fail_after(_LOOK_SECONDS):
                self._images = await kit.runtime.list_images()
            self._answered_at = now
        except (RuntimeUnavailable, RuntimeFailed, trio.TooSlowError) as error:
            get_logger().warning("the runtime is silent", why=str(error) or f"no answer in {_LOOK_SECONDS:.0f} s")
        silent = kit.clock.monotonic_seconds() - self._answered_at > SILENT_SECONDS
        self._status = node_status(
            kit.settings,
            kit.facts,
            await kit.host.pressure(),
            self._images,
            runtime_version=self._runtime_version,
            runtime_problem="podman does not answer" if silent else "",
            before=self._status,
            now=kit.clock.now(),
        )
