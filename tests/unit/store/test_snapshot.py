from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8 import limits
from orchestr8.api.config import ConfigMap
from orchestr8.api.pod import Pod
from orchestr8.errors import CorruptState, Expired
from orchestr8.store import snapshot
from orchestr8.store.command import Claim
from orchestr8.store.state import State
from tests.unit.store.build import config_map, filled, pod, put, run, txn


def whole() -> State:
    state = filled(pod("a", node="n1"), config_map("c", key="value"))
    run(state, Claim("c1", "m1"), txn(put(pod("b")), request_id="r1"))
    return state


def test_what_was_dumped_is_what_is_loaded() -> None:
    state = whole()
    loaded = State.load(state.dump())
    assert (loaded.revision, loaded.claim, loaded.leader) == (3, 1, "m1")
    assert loaded.view().list(Pod) == state.view().list(Pod)
    assert loaded.view().pods_on("n1") == state.view().pods_on("n1")
    assert run(loaded, txn(put(pod("z")), request_id="r1")) == run(state, txn(put(pod("z")), request_id="r1"))


def test_a_dump_shows_the_moment_it_was_asked_for() -> None:
    state = whole()
    digest = state.digest()
    chunks = state.dump()
    first = next(chunks)
    run(state, txn(put(pod("late"))))
    assert State.load([first, *chunks]).digest() == digest


def test_chunks_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SNAPSHOT_CHUNK_BYTES", 2_000)
    state = filled(*(config_map(f"c{number}", text="x" * 900) for number in range(10)))
    chunks = list(state.dump())
    assert max(map(len, chunks)) < 3_000
    monkeypatch.setattr(snapshot, "OBJECTS_PER_CHUNK", 1)
    assert len(list(state.dump())) == len(["head", "end"]) + 10
    assert len(State.load(state.dump()).view().list(ConfigMap)) == 10


def test_a_loaded_state_has_no_history_before_its_revision() -> None:
    loaded = State.load(whole().dump())
    assert list(loaded.since(3)) == []
    with pytest.raises(Expired):
        loaded.since(2)


@given(st.integers(0, 10), st.integers(0, 5_000), st.integers(1, 255))
def test_a_flipped_bit_anywhere_is_found(chunk: int, place: int, flip: int) -> None:
    chunks = [bytearray(each) for each in whole().dump()]
    damaged = chunks[chunk % len(chunks)]
    damaged[place % len(damaged)] ^= flip
    with pytest.raises(CorruptState):
        State.load(map(bytes, chunks))


@pytest.mark.parametrize("lost", [0, 1, 2, 3])
def test_a_missing_chunk_is_found(lost: int) -> None:
    chunks = list(whole().dump())
    assert len(chunks) == 4
    del chunks[lost]
    with pytest.raises(CorruptState):
        State.load(chunks)


def test_chunks_after_the_end_and_foreign_bytes_are_refused() -> None:
    chunks = list(whole().dump())
    for bad in ([*chunks, chunks[1]], [], [b"\xc1"], [b""], [chunks[1], *chunks]):
        with pytest.raises(CorruptState):
            State.load(bad)


def test_a_newer_format_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = list(whole().dump())
    monkeypatch.setattr(snapshot, "FORMAT", 2)
    with pytest.raises(CorruptState, match="format 1"):
        State.load(chunks)
