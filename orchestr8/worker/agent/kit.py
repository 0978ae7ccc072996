"""What every part of the agent works with: made once by ``agent.run_on`` and handed down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from orchestr8.clock import Clock
from orchestr8.worker.agent.masters.assignments import Assignments
from orchestr8.worker.agent.masters.outbox import Outbox
from orchestr8.worker.agent.node.host import Facts, Host
from orchestr8.worker.agent.pods.addresses import Addresses
from orchestr8.worker.agent.pods.images import Images
from orchestr8.worker.agent.settings import AgentSettings
from orchestr8.worker.network.base import PodNetwork
from orchestr8.worker.runtime.base import Runtime


@dataclass(frozen=True)
class Kit:
    """``assignments()`` is the set accepted last; ``resolv_conf`` the text of the node's own file."""

    settings: AgentSettings
    facts: Facts
    resolv_conf: str
    runtime: Runtime
    network: PodNetwork
    host: Host
    images: Images
    addresses: Addresses
    outbox: Outbox
    clock: Clock
    random: Random
    assignments: Callable[[], Assignments]

    def allocatable(self) -> dict[str, str]:
        node = self.assignments().node(self.settings.node_name)
        return dict(node.status.allocatable) if node is not None else {}
