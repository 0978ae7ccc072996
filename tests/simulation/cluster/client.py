"""A user of the simulated cluster: writes what an API server would write, and remembers what was acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import trio

from orchestr8.api import codec
from orchestr8.api.defaults import apply_defaults
from orchestr8.api.deletion import DeleteOptions, Marked, delete
from orchestr8.api.meta import Object, with_metadata
from orchestr8.api.pod import Pod
from orchestr8.api.service import Service
from orchestr8.api.workloads import Deployment
from orchestr8.errors import Orchestr8Error, Unavailable
from orchestr8.master.apiserver.deps import ApiDeps
from orchestr8.store.command import ABSENT, PRESENT, Compare, Delete, Key, Put, Txn
from tests.simulation.cluster.world import World

T = TypeVar("T", bound=Object)
_ASK_SECONDS = 4.0


@dataclass
class Client:
    """``acknowledged``: name -> value of every ConfigMap whose write was answered."""

    world: World
    acknowledged: dict[str, str] = field(default_factory=dict)
    uncertain: int = 0

    async def create(self, value: dict[str, Any]) -> None:
        """Until it is there."""
        obj = apply_defaults(codec.from_builtins(value["kind"], value))
        obj = with_metadata(
            obj,
            namespace="default",
            uid=f"uid-{obj.metadata.name}",
            creation_timestamp=self.world.clock.now().replace(microsecond=0),
            generation=1,
        )
        key = _key(obj)
        compares = (Compare(Key("Namespace", "", "default"), PRESENT), Compare(key, ABSENT))

        def missing(deps: ApiDeps) -> Txn | None:
            """A new request each time: one that was refused stays refused."""
            if deps.store.view().stored(*key) is not None:
                return None
            return Txn(self.world.random.randbytes(8).hex(), compares, (Put(key, codec.encode(obj)),))

        await self._until_done(missing)
        self.world.created.add(key)

    async def scale(self, name: str, replicas: int) -> None:
        def change(deps: ApiDeps) -> Txn | None:
            found = deps.store.view().get(Deployment, "default", name)
            if found is None or found.spec.replicas == replicas:
                return None
            spec = msgspec.structs.replace(found.spec, replicas=replicas)
            changed = msgspec.structs.replace(found, spec=spec)
            changed = with_metadata(changed, generation=(found.metadata.generation or 0) + 1)
            return self._put(changed)

        await self._until_done(change)

    async def set_image(self, name: str, image: str) -> None:
        def change(deps: ApiDeps) -> Txn | None:
            found = deps.store.view().get(Deployment, "default", name)
            if found is None:
                return None
            pod = found.spec.template.spec
            assert pod is not None
            container = msgspec.structs.replace(pod.containers[0], image=image)
            if container == pod.containers[0]:
                return None
            template = msgspec.structs.replace(
                found.spec.template, spec=msgspec.structs.replace(pod, containers=(container,))
            )
            changed = msgspec.structs.replace(found, spec=msgspec.structs.replace(found.spec, template=template))
            return self._put(with_metadata(changed, generation=(found.metadata.generation or 0) + 1))

        await self._until_done(change)

    async def delete_a_pod(self) -> str | None:
        """Some pod that is there; None if there is none or nobody answers."""
        for deps in self.world.api():
            pods = [pod for pod in deps.store.view().list(Pod) if pod.metadata.deletion_timestamp is None]
            if not pods:
                continue
            pod = self.world.random.choice(pods)
            removal = delete(pod, DeleteOptions(), self.world.clock.now())
            key, revision = _key(pod), int(pod.metadata.resource_version or 0)
            write = Put(key, codec.encode(removal.obj)) if isinstance(removal, Marked) else Delete(key)
            try:
                with trio.fail_after(_ASK_SECONDS):
                    await deps.store.propose(
                        Txn(self.world.random.randbytes(8).hex(), (Compare(key, revision),), (write,))
                    )
            except (Orchestr8Error, trio.TooSlowError):
                return None
            return pod.metadata.name
        return None

    async def write_for_ever(self) -> None:
        """One ConfigMap after the other, to whichever master: what is answered must never be lost."""
        number = 0
        while True:
            number += 1
            name = f"note-{number}"
            key = Key("ConfigMap", "default", name)
            data = codec.encode(codec.from_builtins("ConfigMap", _config_map(name, str(number))))
            masters = self.world.api()
            if masters:
                try:
                    with trio.fail_after(_ASK_SECONDS):
                        await self.world.random.choice(masters).store.propose(Txn(name, (), (Put(key, data),)))
                    self.acknowledged[name] = str(number)
                except (Orchestr8Error, trio.TooSlowError):
                    self.uncertain += 1
            await trio.sleep(self.world.random.uniform(0.1, 0.4))

    # -- within ------------------------------------------------------------------------------------------------
    def _put(self, obj: Object) -> Txn:
        key = _key(obj)
        compare = Compare(key, int(obj.metadata.resource_version or 0))
        return Txn(self.world.random.randbytes(8).hex(), (compare,), (Put(key, codec.encode(obj)),))

    async def _until_done(self, decide: Callable[[ApiDeps], Txn | None]) -> None:
        """As a user with a script would: ask one master after the other until the state is as wanted."""
        while True:
            for deps in self.world.api():
                try:
                    with trio.fail_after(_ASK_SECONDS):
                        await deps.store.read_barrier()
                        txn = decide(deps)
                        if txn is not None:
                            await deps.store.propose(txn)
                    return
                except (Unavailable, trio.TooSlowError):
                    continue
                except Orchestr8Error:
                    continue  # another look, another try
            await trio.sleep(0.5)


def deployment(name: str, replicas: int, image: str = "registry/web:1") -> dict[str, Any]:
    labels = {"app": name}
    container = {
        "name": "web",
        "image": image,
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 2}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def service(name: str) -> dict[str, Any]:
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": Service.__name__, "metadata": {"name": name}, "spec": spec}


def _config_map(name: str, value: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}


def _key(obj: Object) -> Key:
    return Key(obj.kind, obj.metadata.namespace or "", obj.metadata.name or "")
