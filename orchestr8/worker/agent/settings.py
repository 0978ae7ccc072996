"""What the agent is told when it starts. ``worker/main.py`` makes it from config.WorkerSettings."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``node_ip``: where other nodes reach this one. ``masters``: host:port of at least one; all are learned from it.

    ``taints``: ``key=value:Effect`` or ``key:Effect``, set when the node registers for the first time.
    ``service_cidr`` is used until a master tells the cluster's own.
    """

    node_name: str
    node_ip: str
    masters: tuple[str, ...]
    labels: Mapping[str, str] = {}
    taints: tuple[str, ...] = ()
    max_pods: int = 110
    reserved_cpu_millis: int = 100
    reserved_memory_bytes: int = 128 * 1024 * 1024
    service_cidr: str = "10.96.0.0/16"
    version: str = ""
