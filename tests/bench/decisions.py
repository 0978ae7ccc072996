"""The scheduler alone on 5,000 nodes (bench_scheduler.py), in a process of its own so that its memory goes with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.bench.figures import Figure, Series
from tests.bench.machine import ROOT

_PUBLISHED = "kube-scheduler 680-810/s asked for by its own benchmark at 5,000 nodes, binding included"


def measure(folder: Path) -> list[Figure]:
    output = folder / "scheduler.json"
    program = [sys.executable, str(ROOT / "tests/bench/bench_scheduler.py"), "--output", str(output)]
    subprocess.run(program, cwd=ROOT, stdout=subprocess.DEVNULL, check=True, timeout=300)
    found = json.loads(output.read_text())
    beside = Series("one by one, no families", [found["one_by_one"]["pods_per_second"]])
    return [
        Figure(
            f"scheduler decisions/s at {found['nodes']:,} nodes, {name}",
            "/s",
            [each["pods_per_second"]],
            beside=[beside],
            published=_PUBLISHED,
            details=each,
        )
        for name, each in found["results"].items()
    ]
