"""Raft under faults by seed: nothing acknowledged is lost and every invariant holds. O8_SEEDS sets how many (200)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.raft.simulation import Simulation, run

SEEDS = int(os.environ.get("O8_SEEDS", "200"))
_AT_ONCE = 20


@pytest.mark.parametrize("first", range(0, SEEDS, _AT_ONCE))
def test_no_history_breaks_an_invariant(first: int) -> None:
    done: list[Simulation] = []
    for seed in range(first, min(first + _AT_ONCE, SEEDS)):
        try:
            done.append(run(seed))
        except Exception as error:
            error.add_note(f"replay: .venv/bin/python -m tests.simulation.raft {seed}")
            raise
    assert all(len(each.acknowledged) >= 50 for each in done), "too few writes: these histories tested little"
    assert all(each.happened.total() >= 10 for each in done), "too few faults: these histories tested little"
    assert sum(len(each.leader_of_term) for each in done) >= 2 * len(done), "leaders hardly changed"


def test_a_seed_gives_the_same_history_in_every_process() -> None:
    script = "from tests.simulation.raft.simulation import run; print([run(seed).trace for seed in (3, 7)])"
    traces = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(traces) == 1
    assert run(3).trace != run(4).trace
