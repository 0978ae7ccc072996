"""A small cluster in memory: the real state, a store around it, and nodes that are as healthy as a test wants.

``World`` runs deciders and applies their plans at once, for tests of decisions. ``LocalStore`` is what the loop needs
of the replicated store, without replication.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import trio

from orchestr8.api import codec
from orchestr8.api.config import Namespace
from orchestr8.api.defaults import apply_defaults
from orchestr8.api.meta import LabelSelector, Object, ObjectMeta, with_metadata
from orchestr8.api.node import Node, NodeCondition, NodeStatus
from orchestr8.api.pod import Container, ContainerPort, Pod, PodCondition, PodSpec, PodTemplateSpec
from orchestr8.api.workloads import (
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    ReplicaSet,
    ReplicaSetSpec,
    RollingUpdateDeployment,
)
from orchestr8.errors import from_code
from orchestr8.master.controllers.controller import Moment
from orchestr8.master.controllers.transactions import transactions
from orchestr8.names import Names
from orchestr8.store.command import Delete, Key, Put, Result, Txn, encode_batch
from orchestr8.store.history import Change
from orchestr8.store.plan import Plan
from orchestr8.store.state import State
from orchestr8.store.view import View

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
Decide = Callable[[View, Key, Moment], Plan]


class World:
    def __init__(self, seed: int = 0) -> None:
        self.state = State()
        self.names = Names(random.Random(seed))
        self.seconds = 1_000.0
        self.put(Namespace(metadata=ObjectMeta(name="default")))

    @property
    def view(self) -> View:
        return self.state.view()

    @property
    def now(self) -> Moment:
        return Moment(EPOCH + timedelta(seconds=self.seconds), self.seconds)

    def put(self, obj: Object) -> Any:
        """Writes the object as it is, filled in as the API server would."""
        meta = obj.metadata
        if not meta.uid:
            obj = with_metadata(obj, uid=self.names.uid(), creation_timestamp=self.now.wall, generation=1)
        self.apply(Txn("", (), (Put(key(obj), codec.encode(apply_defaults(obj))),)))
        return self.get(type(obj), meta.name, meta.namespace)

    def remove(self, obj: Object) -> None:
        self.apply(Txn("", (), (Delete(key(obj)),)))

    def apply(self, txn: Txn) -> Result:
        (result,) = self.state.apply(encode_batch([txn]))
        if result.error:
            raise from_code(result.error, result.message)
        return result

    def get(self, cls: Any, name: str, namespace: str = "default") -> Any:
        return self.view.get(cls, namespace, name)

    def list(self, cls: Any) -> Any:
        return self.view.list(cls)

    def change(self, obj: Any, **parts: Any) -> Any:
        """The newest version of ``obj`` with fields of its spec or status (``status=``) replaced, written."""
        new = self.get(type(obj), obj.metadata.name, obj.metadata.namespace)
        for part, changes in parts.items():
            new = msgspec.structs.replace(new, **{part: msgspec.structs.replace(getattr(new, part), **changes)})
        if "spec" in parts and new.metadata.generation is not None:
            new = with_metadata(new, generation=new.metadata.generation + 1)
        return self.put(new)

    def step(self, decide: Any, subject: Key, *arguments: Any) -> Plan:
        """One look of a controller, its plan carried out."""
        plan: Plan = decide(self.view, subject, self.now, *arguments)
        for txn in transactions(self.view, subject, plan, self.now.wall, self.names):
            self.apply(txn)
        return plan

    def settle(self, decide: Any, subject: Key, *arguments: Any) -> None:
        """Looks until there is nothing left to do."""
        for _ in range(50):
            before = self.state.revision
            self.step(decide, subject, *arguments)
            if self.state.revision == before:
                return
        raise AssertionError("the controller does not come to rest")

    def set_ready(self, pod: Pod, ready: bool = True) -> Any:
        """What a node's agent reports for a pod."""
        status = "True" if ready else "False"
        conditions = tuple(
            PodCondition(type=kind, status=status, last_transition_time=self.now.wall)
            for kind in ("ContainersReady", "Ready")
        )
        number = int(pod.metadata.resource_version or 1)
        return self.change(
            pod,
            status={
                "conditions": conditions,
                "phase": "Running",
                "pod_ip": pod.status.pod_ip or f"10.70.{number // 250}.{number % 250}",
            },
        )


def key(obj: Object) -> Key:
    return Key(obj.kind, obj.metadata.namespace, obj.metadata.name)


def template(image: str = "web:1", **labels: str) -> PodTemplateSpec:
    container = Container(name="web", image=image, ports=(ContainerPort(name="http", container_port=8080),))
    return PodTemplateSpec(metadata=ObjectMeta(labels=labels or {"app": "web"}), spec=PodSpec(containers=(container,)))


def replica_set(name: str = "web", replicas: int = 3, **spec: Any) -> ReplicaSet:
    selector = LabelSelector(match_labels={"app": "web"})
    values = {"replicas": replicas, "selector": selector, "template": template(), **spec}
    return ReplicaSet(metadata=ObjectMeta(name=name, namespace="default"), spec=ReplicaSetSpec(**values))


def deployment(
    replicas: int = 3, *, surge: int | str = "25%", unavailable: int | str = "25%", recreate: bool = False, **spec: Any
) -> Deployment:
    rolling = RollingUpdateDeployment(max_surge=surge, max_unavailable=unavailable)
    strategy = DeploymentStrategy(type="Recreate") if recreate else DeploymentStrategy(rolling_update=rolling)
    selector = LabelSelector(match_labels={"app": "web"})
    values = {"replicas": replicas, "selector": selector, "strategy": strategy, "template": template(), **spec}
    return Deployment(metadata=ObjectMeta(name="web", namespace="default"), spec=DeploymentSpec(**values))


def node(name: str, ready: str = "True") -> Node:
    condition = NodeCondition(type="Ready", status=ready, last_transition_time=EPOCH)
    return Node(metadata=ObjectMeta(name=name), status=NodeStatus(conditions=(condition,)))


def pod(name: str, on: str | None = None, **meta: Any) -> Pod:
    metadata = ObjectMeta(name=name, namespace="default", **{"labels": {"app": "web"}, **meta})
    spec = msgspec.structs.replace(template().spec, node_name=on)
    return Pod(metadata=metadata, spec=spec)


class LocalStore:
    """The replicated store's verbs over one State. ``refuse``: called before each proposal, may raise."""

    def __init__(self, state: State, refuse: Callable[[Txn], None] | None = None) -> None:
        self.state = state
        self.refuse = refuse
        self.proposed: list[Txn] = []
        self._changed = trio.Event()

    @property
    def revision(self) -> int:
        return self.state.revision

    def view(self) -> View:
        return self.state.view()

    async def propose(self, txn: Txn) -> Result:
        await trio.lowlevel.checkpoint()
        self.proposed.append(txn)
        if self.refuse is not None:
            self.refuse(txn)
        (result,) = self.state.apply(encode_batch([txn]))
        self.notify()
        if result.error:
            raise from_code(result.error, result.message)
        return result

    def notify(self) -> None:
        """The state was changed behind the store's back."""
        self._changed.set()
        self._changed = trio.Event()

    @asynccontextmanager
    async def watch(self, since_revision: int) -> AsyncIterator[AsyncIterator[list[Change]]]:
        yield self._changes(since_revision)

    async def _changes(self, since: int) -> AsyncIterator[list[Change]]:
        while True:
            while self.state.revision == since:
                await self._changed.wait()
            batch = list(self.state.since(since))
            since = batch[-1].revision
            yield batch
