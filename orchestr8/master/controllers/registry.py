"""The controllers of a cluster: THE list to extend for a new one. Pure.

Each line names a controller, whose changes it follows and how soon it looks at the same key again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import msgspec

from orchestr8 import limits
from orchestr8.master.controllers import (
    bootstrap,
    deployment,
    endpoints,
    event_expiry,
    finished_pods,
    garbage,
    namespaces,
    node_lifecycle,
    node_ranges,
    replicaset,
    service_addresses,
)
from orchestr8.master.controllers.controller import Controller
from orchestr8.master.controllers.node_lifecycle import Judge
from orchestr8.master.controllers.service_addresses import Ranges
from orchestr8.names import Names


class ControllerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """From config.MasterSettings; the same on every master."""

    cluster_cidr: str = "10.70.0.0/16"
    service_cidr: str = "10.96.0.0/16"
    node_port_range: str = "30000-32767"
    eviction_seconds: int = limits.EVICTION_SECONDS


def controllers(settings: ControllerSettings, names: Names, judge: Judge) -> tuple[Controller, ...]:
    """All controllers, in the order of their first look."""
    ranges = Ranges.parse(settings.service_cidr, settings.node_port_range)
    return (
        _of("bootstrap-controller", bootstrap, "Namespace", "ServiceAccount"),
        _of("node-ipam-controller", node_ranges, "Node", cluster_cidr=settings.cluster_cidr),
        _of("node-controller", node_lifecycle, "Node", "Pod", judge=judge),
        _of("deployment-controller", deployment, "Deployment", "ReplicaSet", "Pod", pause_seconds=0.02),
        _of("replicaset-controller", replicaset, "ReplicaSet", "Pod", pause_seconds=0.05, names=names),
        _of("service-controller", service_addresses, "Service", ranges=ranges),
        _of("endpoint-slice-controller", endpoints, "Service", "Pod", "EndpointSlice", "Endpoints", pause_seconds=0.1),
        _of("garbage-collector", garbage),
        _of("namespace-controller", namespaces),
        _of("pod-garbage-collector", finished_pods, "Pod", pause_seconds=10.0),
        _of("event-expiry-controller", event_expiry, "Event", pause_seconds=10.0),
    )


def _of(name: str, module: ModuleType, *kinds: str, pause_seconds: float = 0.0, **arguments: Any) -> Controller:
    """``arguments``: what the module's ``decide`` takes besides (view, key, now). Without ``kinds``: all of them."""
    decide: Callable[..., Any] = module.decide
    return Controller(
        name=name,
        affected=module.affected,
        everything=module.everything,
        decide=partial(decide, **arguments),
        kinds=frozenset(kinds) or None,
        pause_seconds=pause_seconds,
    )
