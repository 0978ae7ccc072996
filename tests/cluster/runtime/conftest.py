"""A host with a real Podman. Tests that need its processes and cgroups run inside it: pytest starts pytest there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import MakeLab
from tests.cluster.lab import Host, registry

ROOT = Path(__file__).resolve().parents[3]
SOCKET = "/run/orchestr8-test/podman.sock"

RunInside = Callable[..., None]


@pytest.fixture(scope="module")
def podman_host(session_lab_of: MakeLab) -> Iterator[Host]:
    """Has localhost/busybox:1, pulled from the lab's registry by Podman itself."""
    with session_lab_of("w1", registry=True) as lab:
        registry.start(lab)
        host = lab["w1"]
        host.run(["podman", "pull", "-q", registry.BUSYBOX])
        host.run(["podman", "tag", registry.BUSYBOX, "localhost/busybox:1"])
        yield host


@pytest.fixture
def run_inside(podman_host: Host) -> RunInside:
    """``run_inside(file, test="")``: the tests of that file pass in the host, or the output is the failure."""

    def run(file: str, test: str = "") -> None:
        chosen = ("-k", test) if test else ()
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file, *chosen]
        env = {"ORCHESTR8_TEST_PODMAN": SOCKET, "PYTHONDONTWRITEBYTECODE": "1"}
        done = podman_host.run(command, check=False, env=env, cwd=str(ROOT), timeout_seconds=240)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]

    return run
