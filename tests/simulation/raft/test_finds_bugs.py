"""The simulation notices when a protection is missing: each line is a history that breaks without it.

Should a change of the simulation move the seeds: look for new ones with search() below. G2 and G3 need schedules made
by hand (tests/unit/raft/test_pysyncobj_defects.py): chance does not find them in hundreds of histories.
"""

from __future__ import annotations

import pytest

from orchestr8.errors import CorruptState
from tests.simulation.raft import broken
from tests.simulation.raft.simulation import Faults, Simulation, Violation, run

# Contested elections among five, with answers that come twice.
_VOTES = Faults(
    size=5,
    faulty_seconds=25,
    duplicates=0.5,
    cut_seconds=(0.1, 2.0),
    delay_seconds=(0.0005, 0.2),
    propose_every_seconds=(0.01, 0.06),
    weights=(("crash", 1), ("crash all", 3), ("partition", 2), ("isolate", 1), ("transfer", 3)),
)

# Power cuts while much is written but not yet safe.
_POWER_CUTS = Faults(
    sync_seconds=(0.005, 0.08),
    delay_seconds=(0.0005, 0.01),
    propose_every_seconds=(0.005, 0.02),
    weights=(("crash", 6), ("crash all", 6), ("isolate", 2), ("slow disk", 5)),
)

CASES = [
    (broken.WithoutG1, None, range(36, 40), "known entries are cut again"),
    (broken.WithoutG4, _VOTES, range(70, 80), "a vote counts twice"),
    (broken.WithoutG5, None, range(30, 38), "a follower never catches up"),
    (broken.WithoutHoldBack, _POWER_CUTS, range(12), "acknowledged before it was safe"),
]


def search(simulation: type[Simulation], faults: Faults | None, seeds: range) -> dict[int, str]:
    """Seeds that fail, with the reason."""
    found = {}
    for seed in seeds:
        try:
            run(seed, simulation, faults)
        except (Violation, CorruptState, AssertionError) as error:
            found[seed] = str(error)
    return found


@pytest.mark.parametrize(("simulation", "faults", "seeds", "what"), CASES, ids=[case[0].__name__ for case in CASES])
def test_without_the_protection_a_history_fails(
    simulation: type[Simulation], faults: Faults | None, seeds: range, what: str
) -> None:
    assert search(simulation, faults, seeds), f"the simulation does not notice any more that {what}"


@pytest.mark.parametrize(("faults", "seeds"), [(_VOTES, range(70, 80)), (_POWER_CUTS, range(12))])
def test_with_all_protections_the_same_faults_do_no_harm(faults: Faults, seeds: range) -> None:
    assert search(Simulation, faults, seeds) == {}
