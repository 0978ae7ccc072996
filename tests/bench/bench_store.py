"""The replicated store as three real processes, as JSON: ``python tests/bench/bench_store.py [--output FILE]``.

Writes per second with 1, 16 and 128 writers inside the leader and inside a follower (as an API server on any master
would); leader SIGKILL to the next acknowledged write on a survivor (10 times, median); planned hand-over: longest gap
between two acknowledged writes; CPU of idle masters. All on the loopback of one network namespace, with TLS and fsync.
Beside them, in the same run: bare write + fdatasync of about the same size on the same disk.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.cluster.raft.masters import Master, Masters, masters, wait_for

TARGETS = {
    "writes_per_second_16": 2_468,
    "writes_per_second_128": 4_772,
    "leader_killed_to_next_write_seconds": 1.5,
    "hand_over_gap_seconds": 0.2,
    "idle_cpu_percent": 0.5,
}


def bare_fdatasync(folder: Path, seconds: float = 1.0) -> float:
    """Writes per second of 400 bytes, each made safe."""
    descriptor = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT, 0o600)
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        os.pwrite(descriptor, b"x" * 400, count * 400)
        os.fdatasync(descriptor)
        count += 1
    os.close(descriptor)
    return round(count / seconds, 1)


def load(master: Master, writers: int, seconds: float) -> dict[str, Any]:
    found = master.ask("load", writers=writers, seconds=seconds, bytes=256, prefix=f"{master.name}-{writers}")
    return {name: value for name, value in found.items() if name != "answer"}


def rates(cluster: Masters, seconds: float) -> dict[str, Any]:
    leader = cluster.leader()
    follower = cluster.followers()[0]
    found: dict[str, Any] = {}
    for writers in (1, 16, 128):
        found[str(writers)] = {
            "leader": load(leader, writers, seconds),
            "follower": load(follower, writers, seconds),
        }
    return found


def told(master: Master, seconds: float) -> None:
    master.acks.clear()
    master.order("load", writers=1, seconds=seconds, bytes=256, prefix="probe", tell=True)
    wait_for(lambda: len(master.acks) >= 20)


def leader_killed(cluster: Masters, rounds: int) -> list[float]:
    gaps = []
    for _ in range(rounds):
        leader = cluster.leader()
        survivor = cluster.followers()[0]
        told(survivor, 6.0)
        killed = time.monotonic()
        cluster.kill(leader.name)
        survivor.answer(40)
        # a write may have been acknowledged just before the signal took effect: the longest wait counts
        times = [killed] + [ack["at"] for ack in survivor.acks if ack["at"] > killed]
        gap_end = max(itertools.pairwise(times), key=lambda pair: pair[1] - pair[0])[1]
        gaps.append(round(gap_end - killed, 3))
        cluster.start(leader.name)
        time.sleep(0.5)
    return gaps


def handed_over(cluster: Masters, rounds: int) -> list[float]:
    gaps = []
    for _ in range(rounds):
        leader = cluster.leader()
        survivor = cluster.followers()[0]
        told(survivor, 3.0)
        began = time.monotonic()
        assert leader.ask("transfer")["handed_over"]
        survivor.answer(40)
        times = [ack["at"] for ack in survivor.acks if ack["at"] > began - 0.2]
        gaps.append(round(max(b - a for a, b in itertools.pairwise(times)), 3))
    return gaps


def idle(cluster: Masters, seconds: float) -> dict[str, float]:
    leader = cluster.leader().name
    before = {name: master.ask("cpu") for name, master in cluster.running.items()}
    time.sleep(seconds)
    after = {name: master.ask("cpu") for name, master in cluster.running.items()}
    return {
        ("leader" if name == leader else name): round(
            100 * (after[name]["cpu_seconds"] - was["cpu_seconds"]) / (after[name]["at"] - was["at"]), 2
        )
        for name, was in before.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one load run")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--folder", help="where the masters keep their logs (a real disk)")
    parser.add_argument("--output")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, masters(Path(folder)) as cluster:
        bare = bare_fdatasync(Path(folder))
        cluster.start()
        result: dict[str, Any] = {
            "machine": {"python": platform.python_version(), "cores": os.cpu_count(), "load": os.getloadavg()[0]},
            "bare_fdatasync_per_second": bare,
            "idle_cpu_percent": idle(cluster, 20.0),
            "writes": rates(cluster, options.seconds),
        }
        gaps = leader_killed(cluster, options.kills)
        overs = handed_over(cluster, 5)
        result |= {
            "leader_killed_to_next_write_seconds": {"median": statistics.median(gaps), "all": gaps},
            "hand_over_gap_seconds": {"median": statistics.median(overs), "all": overs},
            "single_writer_to_bare_fdatasync": round(result["writes"]["1"]["leader"]["per_second"] / bare, 3),
            "targets": TARGETS,
        }
    text = json.dumps(result, indent=2)
    if options.output:
        Path(options.output).write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
