"""The units under a running systemd: readiness, reload, restart, watchdog, and pods that outlive the worker.

The tests of this file run in order on one machine: it is installed, used, and cleaned up.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.install.machine import ADDRESS, Machine

UNITS = Path(__file__).resolve().parents[2] / "systemd"
OWN_MOUNTS = (  # settings that give a unit a mount namespace of its own, systemd.exec(5)
    *("ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateMounts", "ProtectKernelTunables"),
    *("ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectProc", "ProcSubset", "PrivateIPC"),
    *("ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths", "TemporaryFileSystem", "BindPaths", "RootDirectory"),
    *("MountFlags", "DynamicUser"),
)
CONFIG_MAP = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"kept"},"data":{"a":"b"}}'


@pytest.fixture(scope="module")
def installed(machine: Machine) -> Machine:
    machine.run("orchestr8", "install")
    return machine


@pytest.fixture(scope="module")
def master(installed: Machine) -> Machine:
    installed.run("orchestr8", "master", "init", "--name", "m1", "--address", ADDRESS)
    installed.run("systemctl", "start", "orchestr8-master")
    return installed


@pytest.fixture(scope="module")
def worker(master: Machine) -> Machine:
    master.run("systemctl", "start", "podman-api")
    token = master.text("orchestr8", "token", "create", "--quiet")
    master.run("orchestr8", "join", f"{ADDRESS}:7443", token, "--name", "w1")
    master.run("systemctl", "start", "orchestr8-worker")
    return master


@pytest.mark.parametrize(("unit", "exposure_at_most"), [("master", 1.5), ("worker", 5.0)])
def test_the_units_are_as_hardened_as_promised(unit: str, exposure_at_most: float) -> None:
    command = ["systemd-analyze", "security", "--offline=true", str(UNITS / f"orchestr8-{unit}.service")]
    last = subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip().splitlines()[-1]
    assert float(last.split(": ")[1].split()[0]) <= exposure_at_most


def test_what_the_worker_mounts_is_seen_by_podman() -> None:
    """A mount namespace of the worker's own would hide a pod's volumes in memory from the container they are for."""
    lines = (UNITS / "orchestr8-worker.service").read_text().splitlines()
    assert {line.partition("=")[0] for line in lines} & set(OWN_MOUNTS) == set()


def test_a_program_that_masters_could_not_read_is_not_installed(machine: Machine) -> None:
    machine.run("sh", "-c", "mkdir -p /root/bin && cp /usr/local/bin/orchestr8 /root/bin/")
    refused = machine.run("/root/bin/orchestr8", "install", check=False)
    assert refused.returncode == 1
    assert "/root/bin/orchestr8 lies in /root" in refused.stderr
    assert machine.shown("orchestr8-master", "LoadState")["LoadState"] == "not-found"


def test_install_places_both_units_disabled_and_systemd_finds_no_fault(installed: Machine) -> None:
    for role in ("master", "worker"):
        shown = installed.shown(f"orchestr8-{role}", "LoadState", "UnitFileState", "ActiveState")
        assert shown == {"LoadState": "loaded", "UnitFileState": "disabled", "ActiveState": "inactive"}
        started = installed.text("systemctl", "show", "-P", "ExecStart", f"orchestr8-{role}")
        assert f"argv[]=/usr/local/bin/orchestr8 {role} ;" in started
    checked = installed.run("systemd-analyze", "verify", "orchestr8-master.service", "orchestr8-worker.service")
    assert checked.stderr == ""
    assert installed.text("id", "-un", "orchestr8") == "orchestr8"


def test_a_master_that_was_not_set_up_says_what_to_do(installed: Machine) -> None:
    assert installed.run("systemctl", "start", "orchestr8-master", check=False).returncode != 0
    installed.run("systemctl", "stop", "orchestr8-master")
    said = installed.journal(["orchestr8-master"])
    assert "master.name is ''" in said
    assert "Traceback" not in said


def test_start_returns_when_the_master_really_serves(master: Machine) -> None:
    shown = master.shown("orchestr8-master", "ActiveState", "SubState", "StatusText", "User")
    assert (shown["ActiveState"], shown["SubState"], shown["User"]) == ("active", "running", "orchestr8")
    assert shown["StatusText"].startswith("leading, term ")
    assert '"quorum":true' in master.text("orchestr8", "status", "-o", "json").replace(" ", "")


def test_the_master_has_no_rights_and_its_state_is_its_own(master: Machine) -> None:
    status = master.text("cat", f"/proc/{master.main_pid('orchestr8-master')}/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (fields["CapBnd"], fields["NoNewPrivs"], fields["Seccomp"]) == ("0000000000000000", "1", "2")
    assert master.text("find", "/var/lib/orchestr8/master", "!", "-user", "orchestr8") == ""
    assert master.text("stat", "-c", "%a %U", "/var/lib/orchestr8/master", "/etc/orchestr8/master.toml").split() == [
        *("700", "orchestr8"),
        *("644", "root"),
    ]


def test_what_root_left_in_the_state_directory_does_not_stop_the_master(master: Machine) -> None:
    master.run("chown", "-R", "root:root", "/var/lib/orchestr8/master/raft")
    master.run("systemctl", "restart", "orchestr8-master")
    assert master.text("find", "/var/lib/orchestr8/master", "!", "-user", "orchestr8") == ""


def test_a_killed_master_is_started_again_with_its_state(master: Machine) -> None:
    master.run("orchestr8", "apply", "-f", "-", input=CONFIG_MAP)
    before = master.main_pid("orchestr8-master")
    master.run("kill", "-9", before)
    master.wait_for("a new main process", lambda: _runs_as_another(master, "orchestr8-master", before))
    assert master.shown("orchestr8-master", "NRestarts")["NRestarts"] != "0"
    assert '"a":"b"' in master.text("orchestr8", "get", "configmap", "kept", "-o", "json").replace(" ", "")


def test_a_reload_reads_the_log_level_and_keeps_the_process(master: Machine) -> None:
    before = master.main_pid("orchestr8-master")
    master.write("/etc/orchestr8/master.d/log.toml", '[log]\nlevel = "debug"\n')
    master.run("systemctl", "reload", "orchestr8-master")
    master.wait_for("it says so", lambda: "settings read again" in master.journal(["orchestr8-master"]))
    master.write("/etc/orchestr8/master.d/log.toml", '[log]\nlevle = "info"\n')
    master.run("systemctl", "reload", "orchestr8-master")
    master.wait_for("it names the mistake", lambda: "did you mean level?" in master.journal(["orchestr8-master"]))
    master.run("rm", "/etc/orchestr8/master.d/log.toml")
    master.wait_for("active", lambda: master.shown("orchestr8-master", "ActiveState")["ActiveState"] == "active")
    assert master.main_pid("orchestr8-master") == before


def test_a_master_that_hangs_is_ended_by_the_watchdog(master: Machine) -> None:
    master.write("/etc/systemd/system/orchestr8-master.service.d/test.conf", "[Service]\nWatchdogSec=2\n")
    master.run("systemctl", "daemon-reload")
    master.run("systemctl", "restart", "orchestr8-master")
    before = master.main_pid("orchestr8-master")
    master.run("kill", "-STOP", before)
    master.wait_for("the watchdog restarts it", lambda: _runs_as_another(master, "orchestr8-master", before))
    assert "Watchdog timeout" in master.journal(["orchestr8-master"])


def test_the_worker_is_ready_and_its_node_registers(worker: Machine) -> None:
    assert worker.shown("orchestr8-worker", "ActiveState")["ActiveState"] == "active"
    worker.wait_for(
        "node w1 is ready", lambda: " Ready " in worker.run("orchestr8", "get", "nodes", check=False).stdout
    )
    assert '"level": "error"' not in worker.journal(["orchestr8-worker"])
    pid = worker.main_pid("orchestr8-worker")
    assert worker.text("readlink", f"/proc/{pid}/ns/mnt") == worker.text("readlink", "/proc/1/ns/mnt")


def test_what_runs_beside_the_worker_outlives_it(worker: Machine) -> None:
    """Stands for a container's keeper where Podman is told to use plain cgroups: it stays in our unit's cgroup."""
    script = (
        "group=$(systemctl show -P ControlGroup orchestr8-worker); sleep 100000 & "
        "for root in /sys/fs/cgroup/systemd /sys/fs/cgroup; do"
        " echo $! > $root/$group/cgroup.procs && break; done; echo $!"
    )
    keeper = worker.text("sh", "-c", script)
    before = worker.main_pid("orchestr8-worker")
    worker.run("systemctl", "restart", "orchestr8-worker")
    after = worker.main_pid("orchestr8-worker")
    worker.run("kill", "-9", after)
    worker.wait_for("it is started again", lambda: _runs_as_another(worker, "orchestr8-worker", after))
    assert after != before
    worker.run("kill", "-0", keeper)
    worker.run("kill", keeper)


def test_a_stop_ends_in_order(worker: Machine) -> None:
    for unit in ("orchestr8-worker", "orchestr8-master"):
        worker.run("systemctl", "stop", unit)
        assert worker.shown(unit, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
        worker.run("systemctl", "start", unit)


def test_uninstall_removes_the_units_and_says_what_it_leaves(worker: Machine) -> None:
    said = worker.text("orchestr8", "uninstall")
    assert "left: /var/lib/orchestr8, /etc/orchestr8" in said
    for unit in ("orchestr8-master", "orchestr8-worker"):
        assert worker.shown(unit, "LoadState", "ActiveState") == {"LoadState": "not-found", "ActiveState": "inactive"}
    worker.run("test", "-d", "/var/lib/orchestr8/master")


def test_after_a_new_install_everything_is_still_there(worker: Machine) -> None:
    worker.run("orchestr8", "install")
    worker.run("systemctl", "enable", "--now", "orchestr8-master")
    assert '"a":"b"' in worker.text("orchestr8", "get", "configmap", "kept", "-o", "json").replace(" ", "")


def test_purge_leaves_nothing_of_ours(worker: Machine) -> None:
    worker.run("orchestr8", "uninstall", "--purge", "--yes")
    for folder in ("/var/lib/orchestr8", "/etc/orchestr8", "/run/orchestr8"):
        worker.run("test", "!", "-e", folder)
    assert worker.run("id", "orchestr8", check=False).returncode == 1
    assert worker.text("find", "/etc/systemd/system", "-name", "orchestr8-*.service") == ""


def _runs_as_another(machine: Machine, unit: str, before: str) -> bool:
    shown = machine.shown(unit, "MainPID", "ActiveState")
    return shown["MainPID"] not in ("0", before) and shown["ActiveState"] == "active"
