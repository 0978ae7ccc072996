"""The units under a running systemd: readiness, restart, watchdog, and pods that outlive the worker."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.install.machine import Machine

UNITS = Path(__file__).resolve().parents[2] / "systemd"


@pytest.fixture(scope="module")
def installed(machine: Machine) -> Machine:
    machine.run("orchestr8", "install")
    return machine


@pytest.fixture(scope="module")
def master(installed: Machine) -> Machine:
    installed.run("orchestr8", "master", "init", "--name", "m1", "--address", "127.0.0.1")
    installed.run("systemctl", "start", "orchestr8-master")
    return installed


@pytest.fixture(scope="module")
def worker(master: Machine) -> Machine:
    token = master.text("orchestr8", "token", "create", "--quiet")
    master.run("orchestr8", "join", "127.0.0.1:7443", token, "--name", "w1")
    master.run("systemctl", "start", "orchestr8-worker")
    return master


@pytest.mark.parametrize(("unit", "exposure_at_most"), [("master", 1.5), ("worker", 5.0)])
def test_the_units_are_as_hardened_as_promised(unit: str, exposure_at_most: float) -> None:
    command = ["systemd-analyze", "security", "--offline=true", str(UNITS / f"orchestr8-{unit}.service")]
    last = subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip().splitlines()[-1]
    assert float(last.split(": ")[1].split()[0]) <= exposure_at_most


def test_install_places_both_units_disabled_and_systemd_finds_no_fault(installed: Machine) -> None:
    for role in ("master", "worker"):
        shown = installed.shown(f"orchestr8-{role}", "LoadState", "UnitFileState", "ActiveState")
        assert shown == {"LoadState": "loaded", "UnitFileState": "disabled", "ActiveState": "inactive"}
    checked = installed.run(
        "systemd-analyze", "verify", "orchestr8-master.service", "orchestr8-worker.service", check=False
    )
    assert "orchestr8-" not in checked.stderr, checked.stderr
    assert installed.text("id", "-un", "orchestr8") == "orchestr8"


def test_start_returns_when_the_master_really_serves(master: Machine) -> None:
    shown = master.shown("orchestr8-master", "ActiveState", "SubState", "StatusText", "User")
    assert (shown["ActiveState"], shown["SubState"], shown["User"]) == ("active", "running", "orchestr8")
    assert shown["StatusText"].startswith("leading, term ")
    assert '"quorum":true' in master.text("orchestr8", "status", "-o", "json").replace(" ", "")


def test_a_killed_master_is_started_again_with_its_state(master: Machine) -> None:
    manifest = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"kept"},"data":{"a":"b"}}'
    master.run("orchestr8", "apply", "-f", "-", input=manifest)
    before = master.shown("orchestr8-master", "MainPID")["MainPID"]
    master.run("kill", "-9", before)
    master.wait_for("a new main process", lambda: _serves_as_another(master, before))
    assert master.shown("orchestr8-master", "NRestarts")["NRestarts"] != "0"
    assert '"a":"b"' in master.text("orchestr8", "get", "configmap", "kept", "-o", "json").replace(" ", "")


def test_a_master_that_hangs_is_ended_by_the_watchdog(master: Machine) -> None:
    master.write("/etc/systemd/system/orchestr8-master.service.d/test.conf", "[Service]\nWatchdogSec=3\n")
    master.run("systemctl", "daemon-reload")
    master.run("systemctl", "restart", "orchestr8-master")
    before = master.shown("orchestr8-master", "MainPID")["MainPID"]
    master.run("kill", "-STOP", before)
    master.wait_for("the watchdog restarts the master", lambda: _serves_as_another(master, before))
    assert "watchdog" in master.journal(["orchestr8-master"]).lower()


def test_the_worker_is_ready_and_its_node_registers(worker: Machine) -> None:
    assert worker.shown("orchestr8-worker", "ActiveState")["ActiveState"] == "active"
    worker.wait_for(
        "node w1 is ready", lambda: " Ready " in worker.run("orchestr8", "get", "nodes", check=False).stdout
    )


def test_what_runs_beside_the_worker_outlives_it(worker: Machine) -> None:
    """Stands for a container's keeper where Podman is told to use plain cgroups: it stays in our unit's cgroup."""
    script = (
        "group=$(systemctl show -P ControlGroup orchestr8-worker); sleep 100000 & "
        "for root in /sys/fs/cgroup/systemd /sys/fs/cgroup; do"
        " echo $! > $root/$group/cgroup.procs && break; done; echo $!"
    )
    pid = worker.text("sh", "-c", script)
    before = worker.shown("orchestr8-worker", "MainPID")["MainPID"]
    worker.run("systemctl", "restart", "orchestr8-worker")
    assert worker.shown("orchestr8-worker", "MainPID")["MainPID"] != before
    worker.run("kill", "-0", pid)
    worker.run("kill", pid)


def test_uninstall_removes_the_units_and_says_what_it_leaves(worker: Machine) -> None:
    said = worker.text("orchestr8", "uninstall", "--yes")
    assert "/var/lib/orchestr8" in said
    assert worker.shown("orchestr8-master", "LoadState")["LoadState"] == "not-found"
    assert worker.shown("orchestr8-worker", "LoadState")["LoadState"] == "not-found"
    worker.run("test", "-d", "/var/lib/orchestr8/master")


def _serves_as_another(machine: Machine, before: str) -> bool:
    shown = machine.shown("orchestr8-master", "MainPID", "ActiveState")
    return shown["MainPID"] not in ("0", before) and shown["ActiveState"] == "active"
