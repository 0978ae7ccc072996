"""Small objects and commands for the tests of the state."""

from __future__ import annotations

from typing import Any

from orchestr8.api import codec
from orchestr8.api.config import ConfigMap
from orchestr8.api.meta import ObjectMeta, OwnerReference
from orchestr8.api.pod import Container, Pod, PodSpec
from orchestr8.store.command import Compare, Delete, Key, Put, Result, Txn, encode_batch
from orchestr8.store.state import State


def pod(name: str, namespace: str = "default", node: str | None = None, **meta: Any) -> Pod:
    metadata = ObjectMeta(name=name, namespace=namespace, uid=f"uid-{name}", **meta)
    return Pod(metadata=metadata, spec=PodSpec(node_name=node, containers=(Container(name="a", image="web:1"),)))


def config_map(name: str, namespace: str = "default", **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace), data=data)


def owned(by: str) -> tuple[OwnerReference, ...]:
    return (OwnerReference(api_version="apps/v1", kind="ReplicaSet", name="rs", uid=by, controller=True),)


def key(obj: Any) -> Key:
    return Key(obj.kind, obj.metadata.namespace or "", obj.metadata.name)


def put(obj: Any) -> Put:
    return Put(key(obj), codec.encode(obj))


def delete(obj: Any) -> Delete:
    return Delete(key(obj))


def expect(obj: Any, revision: int) -> Compare:
    return Compare(key(obj), revision)


def txn(*writes: Put | Delete, request_id: str = "", compares: tuple[Compare, ...] = (), claim: int = 0) -> Txn:
    return Txn(request_id, compares, writes, claim)


def run(state: State, *commands: Any) -> list[Result]:
    return state.apply(encode_batch(commands))


def filled(*objects: Any) -> State:
    state = State()
    for obj in objects:
        (result,) = run(state, txn(put(obj)))
        assert not result.error, result
    return state
