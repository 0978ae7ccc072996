"""What every cluster has from its first moment: the well-known namespaces and a default ServiceAccount in each.

Source: Kubernetes, "Namespaces" (initial namespaces) and "Service Accounts".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestr8.api.config import Namespace, ServiceAccount
from orchestr8.api.defaults import apply_defaults
from orchestr8.api.meta import ObjectMeta
from orchestr8.master.controllers.controller import Moment
from orchestr8.store.command import Key
from orchestr8.store.history import Change
from orchestr8.store.plan import Create, Plan, Write
from orchestr8.store.view import View

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_ALL = Key("Namespace", "", "")


def decide(view: View, key: Key, now: Moment) -> Plan:
    """All namespaces; ``key`` is always the same."""
    writes: list[Write] = []
    for name in NAMESPACES:
        if view.get(Namespace, "", name) is None:
            writes.append(Create(apply_defaults(Namespace(metadata=ObjectMeta(name=name)))))
    for namespace in view.list(Namespace):
        name = namespace.metadata.name
        if namespace.metadata.deletion_timestamp is None and view.get(ServiceAccount, name, "default") is None:
            writes.append(Create(ServiceAccount(metadata=ObjectMeta(name="default", namespace=name))))
    return Plan(tuple(writes))


def affected(change: Change, view: View) -> Iterator[Key]:
    if change.key.kind == "Namespace" or (change.key.name == "default" and change.after is None):
        yield _ALL


def everything(view: View) -> Iterable[Key]:
    return (_ALL,)
