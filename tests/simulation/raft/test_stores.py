"""Whole stores under faults, for a few seeds."""

from __future__ import annotations

import pytest

from tests.simulation.raft.stores import run


@pytest.mark.parametrize("seed", range(8))
def test_clients_see_one_store(seed: int) -> None:
    try:
        seen = run(seed)
    except BaseException as error:
        error.add_note(f"replay: .venv/bin/python -m tests.simulation.raft store {seed}")
        raise
    assert len(seen.acknowledged) >= 50 and seen.reads >= 20 and seen.watched >= 50 and seen.claims
