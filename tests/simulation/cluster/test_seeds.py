"""Lives of whole clusters by seed: after every fault and mend, all that was promised holds.

``O8_CLUSTER_SEEDS`` says how many; the first ones are the same in every run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.cluster.run import simulate

ROOT = Path(__file__).resolve().parents[3]
SEEDS = int(os.environ.get("O8_CLUSTER_SEEDS", "40"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_cluster_comes_through(seed: int) -> None:
    simulate(seed)


def test_one_seed_gives_one_life_in_every_process() -> None:
    """Also where strings hash differently: nothing hangs on the order of a set."""
    stories = [_story(seed=3, hash_seed=hash_seed) for hash_seed in ("1", "2")]
    assert stories[0] == stories[1]
    assert len(stories[0]) > 5


def _story(seed: int, hash_seed: str) -> list[str]:
    command = [sys.executable, "-m", "tests.simulation.cluster", str(seed)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if line.startswith(" ")]
