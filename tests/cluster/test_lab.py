"""The test bed itself: what other tests take for granted about it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import MakeLab
from tests.cluster.lab import CommandFailed, Lab, LabFailed, record, registry, traces

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def lab(session_lab_of: MakeLab) -> Iterator[Lab]:
    with session_lab_of("m1", "w1", "w2", registry=True) as lab:
        yield lab


def reaches(lab: Lab, source: str, target: str) -> bool:
    ping = ["busybox", "ping", "-c", "1", "-W", "1", lab[target].ip]
    return lab[source].run(ping, check=False).returncode == 0


def test_a_host_has_its_own_name_address_processes_and_control_groups(lab: Lab) -> None:
    script = "hostname; ip -o -4 addr show eth0; cat /proc/1/comm /proc/self/cgroup; ls /run/netns"
    lines = lab["w1"].run(["sh", "-c", script]).stdout.splitlines()
    assert lines[0] == "w1"
    assert f" {lab['w1'].ip}/24 " in lines[1]
    assert lines[2] == "catatonit"
    assert all(line.endswith((":/", ":/init")) for line in lines[3:])


def test_hosts_keep_files_to_themselves_over_a_power_cut_but_not_run_and_not_their_boot_id(lab: Lab) -> None:
    script = "echo kept >/etc/mine; echo kept >/var/lib/mine; echo lost >/run/mine; cat /proc/sys/kernel/random/boot_id"
    boot_id = lab["w1"].run(["sh", "-c", script]).stdout
    lab["w1"].power_off()
    lab["w1"].boot()
    files = ["/etc/mine", "/var/lib/mine", "/run/mine"]
    assert lab["w1"].run(["ls", *files], check=False).stdout.split() == ["/etc/mine", "/var/lib/mine"]
    assert lab["w1"].run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout != boot_id
    assert lab["w2"].run(["ls", *files], check=False).stdout == ""
    assert not any(Path(file).exists() for file in files)


def test_a_power_cut_ends_every_process_of_that_host_and_no_other(lab: Lab) -> None:
    there, elsewhere = lab["w1"].popen(["sleep", "1000"]), lab["w2"].popen(["sleep", "1000"])
    lab["w1"].power_off()
    assert there.wait(timeout=5) != 0
    assert elsewhere.poll() is None
    assert not reaches(lab, "w2", "w1")
    with pytest.raises(LabFailed, match="w1 is off"):
        lab["w1"].run(["true"])
    lab["w1"].boot()
    assert reaches(lab, "w2", "w1")
    elsewhere.kill()
    elsewhere.wait(timeout=5)


def test_signals_reach_the_command_and_its_exit_code_comes_back(lab: Lab) -> None:
    script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done"
    process = lab["w1"].popen(["sh", "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGCONT)
        process.terminate()
        assert process.wait(timeout=5) == 7
    with pytest.raises(CommandFailed, match="w1: `false` ended with 1"):
        lab["w1"].run(["false"])


def test_killing_the_handle_kills_the_command(lab: Lab) -> None:
    process = lab["w1"].popen(["sleep", "1000"])
    inner = process.inner_pid
    assert inner in lab["w1"].processes()
    process.kill()
    process.wait(timeout=5)
    assert inner not in lab["w1"].processes()


def test_cut_drops_both_ways_between_two_hosts_until_healed(lab: Lab) -> None:
    lab.cut("w1", "w2")
    assert not reaches(lab, "w1", "w2")
    assert not reaches(lab, "w2", "w1")
    assert reaches(lab, "w1", "m1")
    assert lab.fault_packets("w2") >= 1
    lab.heal()
    assert reaches(lab, "w1", "w2")


def test_isolate_leaves_a_host_alone(lab: Lab) -> None:
    lab.isolate("w1")
    assert not reaches(lab, "w1", "m1")
    assert not reaches(lab, "m1", "w1")
    assert reaches(lab, "w1", "w1")
    assert reaches(lab, "m1", "w2")
    lab.heal()


def test_each_host_pulls_from_the_registry_and_runs_with_limits_of_its_own(lab: Lab) -> None:
    registry.start(lab)
    run = ["podman", "run", "--rm", "--network", "none", "--memory", "64m", registry.BUSYBOX]
    read_limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
    for name in ("w1", "w2"):
        assert lab[name].run([*run, "sh", "-c", read_limit]).stdout == f"{64 * 1024 * 1024}\n"


def test_a_lab_whose_owner_was_killed_is_taken_down_by_the_next(machine_unchanged: None) -> None:
    program = (
        "import os, signal; from tests.cluster.lab import Lab\n"
        "with Lab(hosts=['a']) as lab: print(lab.id, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    lab_id = done.stdout.strip()
    assert done.returncode == -signal.SIGKILL
    assert any("catatonit" in line for line in traces(lab_id))
    assert lab_id in record.sweep()
    assert traces(lab_id) == []


def test_a_failing_block_leaves_nothing(machine_unchanged: None) -> None:
    with pytest.raises(ZeroDivisionError):
        with Lab(hosts=["a", "b"]) as lab:
            lab["a"].popen(["sleep", "1000"])
            raise ZeroDivisionError
    assert traces(lab.id) == []


def test_a_kept_lab_stays_until_it_is_taken_down_by_name(machine_unchanged: None) -> None:
    with Lab(hosts=["a"], keep="to look at") as lab:
        pass
    assert lab.id not in record.sweep()
    found = record.load(lab.id)
    assert found is not None
    assert record.kept("to look at") == [lab.id]
    assert found.owner_pid == os.getpid()
    subprocess.run([sys.executable, "-m", "tests.cluster.lab", "down", lab.id], cwd=ROOT, check=True)
    lab.down()
    assert traces(lab.id) == []
