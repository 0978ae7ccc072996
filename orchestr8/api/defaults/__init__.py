"""What an object says when its author said nothing: the defaults of the Kubernetes API reference, per kind.

Applied to every object that a client sends, before validation. Applying twice changes nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from orchestr8.api.config import Namespace, Secret
from orchestr8.api.defaults.config import default_namespace, default_secret
from orchestr8.api.defaults.pod import default_pod
from orchestr8.api.defaults.service import (
    carry_over_service,
    default_endpoint_slice,
    default_endpoints,
    default_node,
    default_service,
)
from orchestr8.api.defaults.workloads import default_deployment, default_replica_set
from orchestr8.api.fields import Noun
from orchestr8.api.node import Node
from orchestr8.api.pod import Pod
from orchestr8.api.service import Endpoints, EndpointSlice, Service
from orchestr8.api.workloads import Deployment, ReplicaSet

K = TypeVar("K", bound=Noun)

_DEFAULTS: dict[type[Noun], Callable[[Any], Any]] = {
    Deployment: default_deployment,
    EndpointSlice: default_endpoint_slice,
    Endpoints: default_endpoints,
    Namespace: default_namespace,
    Node: default_node,
    Pod: default_pod,
    ReplicaSet: default_replica_set,
    Secret: default_secret,
    Service: default_service,
}


def apply_defaults(obj: K) -> K:
    """``obj`` with every default filled in; kinds without defaults come back as they are."""
    default = _DEFAULTS.get(type(obj))
    if default is None:
        return obj
    completed: K = default(obj)
    return completed


def carry_over(old: Any, new: K) -> K:
    """``new``, a replacement of ``old``, with what the server gave out and ``new`` leaves unsaid; after defaults."""
    if isinstance(old, Service) and isinstance(new, Service):
        return carry_over_service(old, new)  # type: ignore[return-value]
    return new


__all__ = ["apply_defaults", "carry_over"]
