"""Replay: `python -m tests.simulation.raft SEED` (`store SEED`: whole stores), or try many: FROM TO."""

from __future__ import annotations

import sys
import time

from tests.simulation.raft import stores
from tests.simulation.raft.simulation import run


def main() -> int:
    if sys.argv[1:2] == ["store"]:
        seen = stores.run(int(sys.argv[2]))
        print(f"{len(seen.acknowledged)} of {len(seen.tried)} acknowledged, {seen.reads} reads, no violation")
        return 0
    first, *rest = map(int, sys.argv[1:] or ["0"])
    bad = []
    for seed in range(first, rest[0] if rest else first + 1):
        began = time.process_time()
        try:
            done = run(seed)
        except Exception as error:
            if not rest:
                raise
            bad.append(seed)
            print(f"seed {seed}: {type(error).__name__}: {error}")
        else:
            if not rest or seed % 20 == 0:
                print(
                    f"seed {seed}: {len(done.acknowledged)} of {done.proposed} acknowledged, "
                    f"{len(done.leader_of_term)} terms, {done.reads} reads, trace {done.trace:08x}, "
                    f"{time.process_time() - began:.2f} s, {dict(done.happened)}"
                )
    print(f"failing seeds: {bad}" if bad else "no violation")
    return bool(bad)


sys.exit(main())
