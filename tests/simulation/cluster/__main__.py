"""``python -m tests.simulation.cluster SEED [SEED ...]``: replays seeds and prints their stories."""

from __future__ import annotations

import sys

from orchestr8 import logs
from tests.simulation.cluster.run import simulate

logs.configure(level="warning", format="console", journal=False)
for text in sys.argv[1:]:
    world = simulate(int(text))
    print(f"seed {text}: nothing found")
    print("\n".join(world.story))
