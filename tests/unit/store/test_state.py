from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8 import limits
from orchestr8.api.config import ConfigMap
from orchestr8.api.pod import Pod
from orchestr8.errors import BY_CODE
from orchestr8.store.command import ABSENT, PRESENT, Claim, Compare, Delete, Key, Put, Txn, encode_batch
from orchestr8.store.state import State
from tests.unit.store.build import config_map, delete, expect, filled, key, pod, put, run, txn

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_put_can_be_read_back_at_its_revision() -> None:
    state = filled(pod("a"))
    found = state.view().get(Pod, "default", "a")
    assert found is not None
    assert found.metadata.resource_version == "1"
    assert found.spec.containers[0].image == "web:1"


def test_each_write_of_a_transaction_has_a_revision_of_its_own() -> None:
    state = State()
    (result,) = run(state, txn(put(pod("a")), put(pod("b")), put(pod("a"))))
    assert result.revision == 3
    assert [(change.revision, change.key.name) for change in state.since(0)] == [(1, "a"), (2, "b"), (3, "a")]


def test_a_transaction_that_fails_changes_nothing() -> None:
    state = filled(pod("a"))
    before = state.digest()
    for bad in (
        txn(put(pod("b")), compares=(expect(pod("a"), ABSENT),)),
        txn(put(pod("b")), Delete(Key("Pod", "default", "missing"))),
        txn(put(pod("b")), Put(Key("Pod", "default", "c"), b"{")),
        txn(put(pod("b")), Put(Key("Nonsense", "", "c"), b"{}")),
    ):
        (result,) = run(state, bad)
        assert result.error in BY_CODE
    assert state.digest() == before
    assert state.view().get(Pod, "default", "b") is None


@pytest.mark.parametrize(
    ("compare", "error"),
    [
        (Compare(Key("Pod", "default", "a"), ABSENT), "AlreadyExists"),
        (Compare(Key("Pod", "default", "a"), 1), ""),
        (Compare(Key("Pod", "default", "a"), 7), "Conflict"),
        (Compare(Key("Pod", "default", "a"), PRESENT), ""),
        (Compare(Key("Pod", "default", "b"), PRESENT), "NotFound"),
        (Compare(Key("Pod", "default", "b"), 7), "NotFound"),
        (Compare(Key("Pod", "default", "b"), ABSENT), ""),
    ],
)
def test_compares_guard_a_transaction(compare: Compare, error: str) -> None:
    (result,) = run(filled(pod("a")), txn(compares=(compare,)))
    assert result.error == error


def test_a_retry_answers_its_first_result_and_is_applied_once() -> None:
    state = State()
    create = txn(put(pod("a")), request_id="r1", compares=(expect(pod("a"), ABSENT),))
    first, second = run(state, create, create)
    assert (first.error, first.revision) == ("", 1)
    assert second == first
    run(state, txn(delete(pod("a"))))
    assert run(state, create) == [first]
    assert state.view().list(Pod) == []


def test_a_retry_of_a_refused_transaction_stays_refused() -> None:
    state = filled(pod("a"))
    create = txn(put(pod("a")), request_id="r1", compares=(expect(pod("a"), ABSENT),))
    assert [result.error for result in run(state, create)] == ["AlreadyExists"]
    run(state, txn(delete(pod("a"))))
    assert [result.error for result in run(state, create)] == ["AlreadyExists"]


def test_the_oldest_request_ids_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REQUEST_IDS_KEPT", 2)
    state = State()
    for request_id in ("r1", "r2", "r3"):
        run(state, txn(put(pod("a")), request_id=request_id))
    assert run(state, txn(put(pod("a")), request_id="r2"))[0].revision == 2
    assert run(state, txn(put(pod("a")), request_id="r1"))[0].revision == 4


def test_a_dead_claim_is_refused() -> None:
    state = State()
    first, second = run(state, Claim("c1", "m1"), Claim("c2", "m2"))
    assert (first.claim, second.claim) == (1, 2)
    dead, alive = run(state, txn(put(pod("a")), claim=1), txn(put(pod("a")), claim=2))
    assert (dead.error, alive.error) == ("Conflict", "")
    assert "m2" in dead.message


def test_a_full_store_refuses_new_objects_and_takes_updates_and_deletes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STORE_OBJECTS", 2)
    state = filled(pod("a"), pod("b"))
    assert run(state, txn(put(pod("c"))))[0].error == "LimitExceeded"
    assert run(state, txn(put(pod("a", labels={"x": "y"}))))[0].error == ""
    assert run(state, txn(delete(pod("a")), put(pod("c"))))[0].error == ""
    assert run(state, txn(delete(pod("b"))))[0].error == ""


def test_a_store_full_of_bytes_takes_deletes_and_marks_of_deletion(monkeypatch: pytest.MonkeyPatch) -> None:
    state = filled(pod("a"), pod("b"))
    monkeypatch.setattr(limits, "STORE_BYTES", 10)
    monkeypatch.setattr("orchestr8.store.state._UPDATE_HEADROOM_BYTES", 0)
    assert run(state, txn(put(pod("c"))))[0].error == "LimitExceeded"
    assert run(state, txn(put(pod("a", labels={"x": "y"}))))[0].error == "LimitExceeded"
    marked = {"deletion_timestamp": EPOCH, "finalizers": ("wait",)}
    assert run(state, txn(put(pod("a", **marked))))[0].error == ""
    assert run(state, txn(delete(pod("b"))))[0].error == ""


def test_an_object_that_does_not_fit_its_key_is_refused() -> None:
    state = State()
    wrong = Put(Key("Pod", "default", "b"), put(pod("a")).data)
    assert run(state, txn(wrong))[0].error == "Invalid"


@pytest.mark.parametrize(
    "wrong", [Key("Pod", "", "a"), Key("Node", "default", "a"), Key("SelfSubjectReview", "", "a"), Key("Pod", "x", "")]
)
def test_a_key_of_the_wrong_scope_or_of_a_kind_that_is_never_stored_is_refused(wrong: Key) -> None:
    metadata = {"name": wrong.name, **({"namespace": wrong.namespace} if wrong.namespace else {})}
    (result,) = run(State(), txn(Put(wrong, msgspec.json.encode({"kind": wrong.kind, "metadata": metadata}))))
    assert result.error in ("Invalid", "BadRequest")


@pytest.mark.parametrize(("depth", "error"), [(20, ""), (63, "BadRequest"), (100_000, "BadRequest")])
def test_how_deep_an_object_may_be_does_not_depend_on_the_stack(depth: int, error: str) -> None:
    nested = b'{"a":' * depth + b'"]]]}}}[[["' + b"}" * depth
    data = b'{"metadata":{"name":"a","namespace":"default","managedFields":[' + nested + b"]}}"
    (result,) = run(State(), txn(Put(Key("Pod", "default", "a"), data)))
    assert result.error == error


# -- properties -----------------------------------------------------------------------------------------

_names = st.sampled_from(["a", "b", "c"])
_objects = st.one_of(
    st.builds(
        pod,
        _names,
        namespace=st.sampled_from(["x", "y"]),
        node=st.sampled_from([None, "n1", "n2"]),
        labels=st.dictionaries(_names, _names),
    ),
    st.builds(config_map, _names, namespace=st.sampled_from(["x", "y"]), a=st.text()),
)
_keys = st.builds(Key, st.sampled_from(["Pod", "ConfigMap", "Odd", ""]), st.sampled_from(["x", ""]), _names)
_writes = st.one_of(
    st.builds(put, _objects), st.builds(delete, _objects), st.builds(Put, _keys, st.binary()), st.builds(Delete, _keys)
)
_compares = st.builds(Compare, st.one_of(_keys, st.builds(key, _objects)), st.integers(-2, 12))
_commands = st.one_of(
    st.builds(
        Txn,
        st.sampled_from(["", "r1", "r2"]),
        st.lists(_compares, max_size=1).map(tuple),
        st.lists(_writes, max_size=4).map(tuple),
        st.integers(0, 2),
    ),
    st.builds(Claim, st.sampled_from(["", "c1"]), st.text()),
)
_logs = st.lists(st.lists(_commands, max_size=3), max_size=8)


@given(st.binary())
def test_any_bytes_are_answered_and_change_nothing(entry: bytes) -> None:
    state = filled(pod("a"))
    before = state.digest()
    results = state.apply(entry)
    if any(result.error == "BadRequest" for result in results):
        assert state.digest() == before


_fields = st.sampled_from(
    ["kind", "labels", "ownerReferences", "finalizers", "managedFields", "deletionTimestamp", "uid", "spec", "status"]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("2026-01-01T00:00:00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_fields | st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(["Pod", "Event", "Lease", "Secret", "ConfigMap"]),
    st.dictionaries(_fields, _json),
    st.dictionaries(_fields, _json),
)
def test_any_json_is_stored_or_refused(kind: str, meta: dict[str, Any], rest: dict[str, Any]) -> None:
    state = State()
    body = {**rest, "metadata": {**meta, "name": "a", "namespace": "x"}}
    (result,) = run(state, txn(Put(Key(kind, "x", "a"), json.dumps(body).encode())))
    assert (state.count == 0) == bool(result.error)
    assert State.load(state.dump()).digest() == state.digest()


@given(_logs)
def test_any_log_is_answered_and_gives_the_same_digest_everywhere(log: list[list[Any]]) -> None:
    first, second = State(), State()
    for commands in log:
        results = run(first, *commands)
        assert len(results) == len(commands)
        assert run(second, *commands) == results
    assert first.digest() == second.digest()


@given(_logs, st.integers(0, 200), st.integers(1, 255))
def test_a_damaged_log_entry_is_answered(log: list[list[Any]], place: int, flip: int) -> None:
    state = State()
    for commands in log:
        entry = bytearray(encode_batch(commands))
        entry[place % len(entry)] ^= flip
        assert state.apply(bytes(entry)) is not None


@given(_logs)
def test_a_snapshot_taken_anywhere_in_a_log_leads_to_the_same_state(log: list[list[Any]]) -> None:
    whole, half = State(), State()
    for commands in log[: len(log) // 2]:
        run(half, *commands)
    loaded = State.load(half.dump())
    assert loaded.digest() == half.digest()
    for commands in log[: len(log) // 2]:
        run(whole, *commands)
    for commands in log[len(log) // 2 :]:
        assert run(whole, *commands) == run(loaded, *commands)
    assert whole.digest() == loaded.digest()


@given(_logs)
def test_indexes_agree_with_a_full_search(log: list[list[Any]]) -> None:
    state = State()
    for commands in log:
        run(state, *commands)
    view = state.view()
    pods = view.list(Pod)
    assert pods == sorted(pods, key=lambda each: (each.metadata.namespace, each.metadata.name))
    for node in ("n1", "n2"):
        assert view.pods_on(node) == [each for each in pods if each.spec.node_name == node]
    assert len(pods) + len(view.list(ConfigMap)) == state.count
    assert {(stored.key, stored.json) for stored in view.stored_list("Pod")} == {
        (key(each), view.stored("Pod", each.metadata.namespace or "", each.metadata.name or "").json)  # type: ignore[union-attr]
        for each in pods
    }


@given(_logs)
def test_the_past_can_be_read_at_every_revision(log: list[list[Any]]) -> None:
    state = State()
    seen = {0: ([], [])}
    for commands in log:
        for command in commands:
            run(state, command)
            view = state.view()
            seen[state.revision] = (view.list(Pod), view.pods_on("n1"))
    for revision, (pods, on_node) in seen.items():
        past = state.view().at(revision)
        assert past.revision == revision
        assert past.list(Pod) == pods
        assert past.list(Pod, "x") == [each for each in pods if each.metadata.namespace == "x"]
        assert past.pods_on("n1") == on_node
