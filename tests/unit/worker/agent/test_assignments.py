"""The set that this node was given: whole, in parts, as changes, and from the disk."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.api import codec
from orchestr8.api.config import ConfigMap
from orchestr8.api.meta import ObjectMeta
from orchestr8.errors import BadRequest, CorruptState
from orchestr8.worker.agent.masters.assignments import Assignments, load
from tests.unit.worker.agent.world import pod


def conf(name: str, value: str = "") -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data={"value": value})


def full(*objects: Any, revision: int = 5, more: bool = False) -> dict[str, Any]:
    items = [{"kind": obj.kind, "data": codec.encode(obj)} for obj in objects]
    return {"full": True, "revision": revision, "objects": items, "more": more}


def test_a_set_is_replaced_whole_and_then_changed() -> None:
    first = Assignments().accept(full(pod("a"), conf("c"), revision=5))
    assert (first.revision, set(first.pods())) == (5, {"uid-a"})
    put = [{"kind": "Pod", "data": codec.encode(pod("b"))}]
    second = first.accept({"revision": 7, "put": put, "gone": [["Pod", "default", "a"], ["Pod", "default", "never"]]})
    assert (second.revision, set(second.pods())) == (7, {"uid-b"})
    assert second.config_map("default", "c") is not None and second.config_map("default", "d") is None
    assert second.accept(full(pod("z"), revision=9)).objects.keys() == {("Pod", "default", "z")}


def test_parts_of_a_set_count_only_when_the_last_is_there() -> None:
    before = Assignments().accept(full(pod("old")))
    half = before.accept(full(pod("a"), more=True))
    assert set(half.pods()) == {"uid-old"} and half.pending is not None
    item = {"kind": "Pod", "data": codec.encode(pod("b"))}
    whole = half.accept({"revision": 6, "objects": [item]})
    assert set(whole.pods()) == {"uid-a", "uid-b"} and whole.pending is None
    assert set(half.accept(full(pod("c"))).pods()) == {"uid-c"}, "a full set may start anew at any time"


def test_kinds_of_a_newer_master_are_passed_over_and_broken_objects_are_not() -> None:
    assert Assignments().accept({"full": True, "objects": [{"kind": "Novelty", "data": b"{}"}]}).objects == {}
    with pytest.raises(BadRequest):
        Assignments().accept({"full": True, "objects": [{"kind": "Pod", "data": b'{"spec": 3}'}]})


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.text(max_size=10), max_size=5), st.integers(0, 2**40))
def test_what_is_dumped_is_loaded(values: dict[str, str], revision: int) -> None:
    made = Assignments().accept(full(*(conf(name, value) for name, value in values.items()), revision=revision))
    assert load(made.dump()) == made


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x01", b"\x80", Assignments().dump()[:-3]])
def test_a_damaged_file_is_told_as_such(data: bytes) -> None:
    with pytest.raises(CorruptState):
        load(data)
