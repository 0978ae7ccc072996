"""``python -m tests.bench [--output FILE] [--quick] [--only NAME,...]``: every figure of docs/benchmarks.md.

Root, the Debian packages of the Makefile, about ten minutes, and a machine that does nothing else. Prints a table and
writes JSON. Nothing is asserted: a target that is missed is told, and so is what could not be measured. Parts:
decisions, store, etcd, idle, pods, restart, leader, worker, scale, api.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import decisions, etcd, failover, idle, machine, pods, scale, writes
from tests.bench.client import TooLate, Way
from tests.bench.figures import Figure, Series, as_json, table
from tests.cluster.api import Refused, Unreachable
from tests.cluster.cluster import Cluster
from tests.cluster.lab import CommandFailed, Lab, LabFailed, registry, traces
from tests.cluster.lab.inside import Inside

_FAILURES = (AssertionError, CommandFailed, LabFailed, OSError, Refused, TimeoutError, TooLate, Unreachable)
_PARTS = ("decisions", "store", "etcd", "idle", "pods", "restart", "leader", "worker", "scale", "api")


@dataclass(frozen=True)
class Length:
    """How often and how long; ``full`` is what docs/benchmarks.md reports."""

    pods: int = 10
    fifties: int = 5
    kills: int = 10
    cuts: int = 5
    hand_overs: int = 5
    workers: int = 5
    thousands: int = 5
    load_seconds: float = 3.0
    idle_seconds: float = 60.0
    etcd_kills: int = 10
    etcd_idle_seconds: float = 20.0


_QUICK = Length(3, 1, 2, 1, 1, 1, 1, 1.0, 5.0, 1, 3.0)


class Run:
    """Collects figures; one that cannot be measured does not keep the next from being."""

    def __init__(self, only: Sequence[str], length: Length) -> None:
        self.only = only
        self.length = length
        self.figures: list[Figure] = []
        self.failed: dict[str, str] = {}
        self.took: dict[str, dict[str, Any]] = {}
        self.etcd: dict[str, Series] = {}

    def wants(self, *parts: str) -> bool:
        return any(part in self.only for part in parts)

    def part(self, name: str, measure: Callable[[], list[Figure]]) -> None:
        if name not in self.only:
            return
        busyness = machine.busyness()
        began = time.monotonic()
        print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
        try:
            self.figures += measure()
        except (*_FAILURES, subprocess.SubprocessError) as error:
            self.failed[name] = f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - began
        self.took[name] = {"seconds": round(seconds, 1), "before": busyness}
        print(f"{seconds:.0f} s {self.failed.get(name, '')}", file=sys.stderr, flush=True)


def without_a_cluster(run: Run) -> None:
    length = run.length
    with tempfile.TemporaryDirectory() as folder:
        run.part("decisions", lambda: decisions.measure(Path(folder)))

    def etcds() -> list[Figure]:
        run.etcd = etcd.measure(writes.WRITERS, length.load_seconds, length.etcd_kills, length.etcd_idle_seconds)
        return []

    run.part("etcd", etcds)
    run.part("store", lambda: writes.in_the_store(length.load_seconds, run.etcd))


def with_workers(run: Run) -> list[str]:
    """Three masters and two workers with Podman. Returns what was left behind."""
    length = run.length
    lab = Lab(hosts=["m1", "m2", "m3", "w1", "w2"], registry=True)
    with lab, Cluster(lab, ["m1", "m2", "m3"], ["w1", "w2"]) as cluster, Inside(lab.segment) as inside:
        registry.start(lab)
        cluster.start_masters()
        cluster.start_workers()
        pods.pull(cluster)
        way = Way(inside, cluster.kubeconfig)
        run.part("idle", lambda: idle.measure(cluster, way, length.idle_seconds, run.etcd))
        run.part("pods", lambda: pods.one(cluster, way, length.pods) + pods.fifty(cluster, way, length.fifties))
        run.part("restart", lambda: pods.killed(cluster, way, length.pods))
        killed = [run.etcd["killed"]] if "killed" in run.etcd else []
        run.part(
            "leader",
            lambda: (
                failover.leader_killed(cluster, way, length.kills, killed)
                + failover.leader_cut_off(cluster, way, length.cuts)
                + failover.handed_over(cluster, way, length.hand_overs)
            ),
        )
        run.part("worker", lambda: failover.worker_lost(cluster, way, length.workers))
    return traces(lab.id)


def with_masters_only(run: Run) -> list[str]:
    """Three masters; nodes are hollow."""
    lab = Lab(hosts=["m1", "m2", "m3"])
    with lab, Cluster(lab, ["m1", "m2", "m3"], []) as cluster, Inside(lab.segment) as inside:
        cluster.start_masters()
        way = Way(inside, cluster.kubeconfig)
        run.part("scale", lambda: scale.bound_and_listed(cluster, way, run.length.thousands))
        run.part("api", lambda: writes.through_the_api(cluster, way, run.length.load_seconds, run.etcd))
    return traces(lab.id)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--output", type=Path, default=machine.ROOT / ".tmp" / "bench-results.json")
    parser.add_argument("--quick", action="store_true", help="few repetitions: to see that all of it works")
    parser.add_argument("--only", default=",".join(_PARTS), help="parts to measure, separated by commas")
    options = parser.parse_args()
    only = options.only.split(",")
    if unknown := set(only) - set(_PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(_PARTS)}")
    if os.geteuid() != 0:
        parser.error("network namespaces and Podman need root")
    run = Run(only, _QUICK if options.quick else Length())
    began, here = dt.datetime.now(dt.UTC), machine.describe()
    left: list[str] = []
    without_a_cluster(run)
    if run.wants("idle", "pods", "restart", "leader", "worker"):
        left += _cluster(run, "a cluster with workers", with_workers)
    if run.wants("scale", "api"):
        left += _cluster(run, "a cluster of masters", with_masters_only)
    document = {
        "date": began.isoformat(timespec="seconds"),
        "seconds": round((dt.datetime.now(dt.UTC) - began).total_seconds()),
        "command": shlex.join(["python", "-m", "tests.bench", *sys.argv[1:]]),
        "commit": machine.commit(),
        "machine": here,
        "load_at_end": machine.busyness(),
        "parts": run.took,
        "not_measured": run.failed,
        "left_behind": left,
        "figures": [as_json(figure) for figure in run.figures],
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(document, indent=1) + "\n")
    print(table(run.figures))
    for name, why in run.failed.items():
        print(f"not measured: {name}: {why}")
    for trace in left:
        print(f"left behind: {trace}")
    print(f"{document['seconds']} s, load before {here['load'][0]:.2f}; written to {options.output}")
    return 1 if run.failed or left else 0


def _cluster(run: Run, what: str, measure: Callable[[Run], list[str]]) -> list[str]:
    try:
        return measure(run)
    except (*_FAILURES, subprocess.SubprocessError) as error:
        run.failed[what] = f"{type(error).__name__}: {error}"
        return []


if __name__ == "__main__":
    sys.exit(main())
