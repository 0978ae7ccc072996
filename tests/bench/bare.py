"""The same containers without a cluster: bare Podman on the same host, timed inside it. What the figures of pods stand
beside."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.client import TooLate
from tests.bench.machine import command_line
from tests.bench.objects import IMAGE, LONG_SLEEP
from tests.cluster.lab import Host

_POLL_SECONDS = 0.004
# Nanoseconds on the host itself, so that entering its namespaces is not part of the time.
_TIMED = 'a=$(date +%s%N); "$@" >/dev/null || exit 1; b=$(date +%s%N); echo $((b-a))'
_LOOP = 'n=$1; shift; while [ $n -gt 0 ]; do "$@" >/dev/null || exit 1; n=$((n-1)); done'


def run(*options: str, command: Sequence[str] = LONG_SLEEP) -> list[str]:
    return ["podman", "run", "-d", "--net", "none", "--label", "bare=yes", *options, IMAGE, *command]


def run_seconds(host: Host) -> float:
    """One container started and removed; only the start counts."""
    printed = host.run(["sh", "-c", _TIMED, "timed", *run()]).stdout
    remove_all(host)
    return int(printed) / 1e9


def run_many_seconds(hosts: Sequence[Host], each: int) -> float:
    """``each`` containers on every host, one after the other there, all hosts at the same time."""
    began = time.monotonic()
    with ThreadPoolExecutor(len(hosts)) as pool:
        loops = [["sh", "-c", _LOOP, "loop", str(each), *run()] for _ in hosts]
        list(pool.map(lambda host, argv: host.run(argv, timeout_seconds=180), hosts, loops))
    seconds = time.monotonic() - began
    for host in hosts:
        remove_all(host)
    return seconds


def restart_seconds(host: Host, number: int) -> float:
    """Podman's own ``--restart=always``: killed to running again."""
    command = ("sleep", str(number))
    host.run(run("--restart=always", command=command))
    seconds = kill_and_see(command)
    remove_all(host)
    return seconds


def remove_all(host: Host) -> None:
    listed = json.loads(host.run(["podman", "ps", "-a", "--format", "json", "--filter", "label=bare=yes"]).stdout)
    if listed:
        host.run(["podman", "rm", "-f", "-t", "0", *(found["Id"] for found in listed)], timeout_seconds=180)


def kill_and_see(command: Sequence[str], seconds: float = 30) -> float:
    """SIGKILL for the one process with this command line, on whatever host; returns when there is another."""
    (pid,) = _running(command, set())
    before = _pids()
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    while not _running(command, before):
        if time.monotonic() > began + seconds:
            raise TooLate(f"not within {seconds:g} s: another process {' '.join(command)}")
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - began


def _running(command: Sequence[str], but: set[int]) -> list[int]:
    return [pid for pid in _pids() - but if command_line(pid) == list(command)]


def _pids() -> set[int]:
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
