"""Runs inside a host: limits in the cgroup, deaths of all kinds, other people's containers, leftovers of exec."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from orchestr8.worker.runtime.base import (
    EXIT_CODE_UNKNOWN,
    ContainerPhase,
    ContainerSpec,
    ContainerState,
    ExecSpec,
    ImagePullFailed,
    LogOptions,
    Mount,
    Sandbox,
    SandboxSpec,
)
from orchestr8.worker.runtime.podman import PodmanRuntime, open_podman
from orchestr8.worker.runtime.watch import CGROUP_ROOT

SOCKET = os.environ["ORCHESTR8_TEST_PODMAN"]
IMAGE = "localhost/busybox:1"
MIB = 1024 * 1024
FOREVER = "while true; do sleep 1; done"


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[PodmanRuntime, Sandbox]]:
    async with open_podman(SOCKET) as runtime:
        spec = SandboxSpec(pod_uid="uid-1", namespace="default", name="web", hostname="web")
        sandbox = await runtime.create_sandbox(spec)
        try:
            yield runtime, sandbox
        finally:
            with trio.CancelScope(shield=True):
                await runtime.remove_sandbox(sandbox.id)


async def started(runtime: PodmanRuntime, sandbox: Sandbox, script: str, **fields: object) -> ContainerState:
    spec = ContainerSpec(name="main", attempt=0, image=IMAGE, command=("sh", "-c", script), **fields)  # type: ignore[arg-type]
    return await runtime.start_container(await runtime.create_container(sandbox, spec))


async def ended(runtime: PodmanRuntime, container_id: str) -> ContainerState:
    with trio.fail_after(20):
        while (state := await runtime.inspect_container(container_id)).phase is not ContainerPhase.EXITED:  # noqa: ASYNC110
            await trio.sleep(0.02)
    return state


def cgroup_file(pid: int, v1_controller: str, v1_name: str, v2_name: str) -> str:
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if v1_controller in controllers.split(","):
            return (CGROUP_ROOT / controllers / path.lstrip("/") / v1_name).read_text().strip()
        if number == "0" and (CGROUP_ROOT / "cgroup.controllers").exists():
            return (CGROUP_ROOT / path.lstrip("/") / v2_name).read_text().strip()
    raise AssertionError(f"process {pid} is in no cgroup of {v1_controller}")


def conmons() -> set[int]:
    return {
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and (entry / "comm").exists() and (entry / "comm").read_text().strip() == "conmon"
    }


async def test_limits_are_really_set_in_the_cgroup() -> None:
    async with opened() as (runtime, sandbox):
        asked = {"memory_bytes": 64 * MIB, "cpu_millis": 250, "cpu_shares": 512, "pids_limit": 77}
        state = await started(runtime, sandbox, FOREVER, **asked)
        assert int(cgroup_file(state.pid, "memory", "memory.limit_in_bytes", "memory.max")) == 64 * MIB
        assert int(cgroup_file(state.pid, "pids", "pids.max", "pids.max")) == 77
        assert cgroup_file(state.pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "25000"


async def test_processes_of_a_pod_have_a_seccomp_filter_and_few_capabilities() -> None:
    async with opened() as (runtime, sandbox):
        state = await started(runtime, sandbox, FOREVER)
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{state.pid}/status").read_text().splitlines())
        assert status["Seccomp"] == "2"
        assert int(status["CapEff"], 16) == 0x800405FB, "not Podman's own list"


async def test_the_pids_limit_stops_a_fork_bomb() -> None:
    async with opened() as (runtime, sandbox):
        script = "for i in $(seq 50); do sleep 60 & done; sleep 60"
        state = await started(runtime, sandbox, script, pids_limit=20)
        await trio.sleep(0.5)
        state = await runtime.inspect_container(state.id)
        if state.phase is ContainerPhase.RUNNING:
            assert int(cgroup_file(state.pid, "pids", "pids.current", "pids.current")) <= 20
        else:
            assert state.exit_code, "fifty processes were possible"


async def test_a_container_that_exceeds_its_memory_is_told_as_such() -> None:
    async with opened() as (runtime, sandbox):
        state = await started(runtime, sandbox, "exec tail /dev/zero", memory_bytes=16 * MIB)
        state = await ended(runtime, state.id)
        assert (state.exit_code, state.oom_killed) == (137, True)


async def test_a_child_that_exceeds_the_memory_is_not_the_containers_end() -> None:
    async with opened() as (runtime, sandbox):
        state = await started(runtime, sandbox, "tail /dev/zero; exit 3", memory_bytes=16 * MIB)
        state = await ended(runtime, state.id)
        assert (state.exit_code, state.oom_killed) == (3, False)


async def test_an_exit_is_told_long_before_podman_would_tell_it() -> None:
    async with opened() as (runtime, sandbox):
        state = await started(runtime, sandbox, FOREVER)
        async with runtime.events() as events:
            began = trio.current_time()
            os.kill(state.pid, signal.SIGKILL)
            event = await events.__anext__()
            assert (event.pod_uid, event.container_id, event.what) == ("uid-1", state.id, "exited")
            assert trio.current_time() - began < 1
        assert (await runtime.inspect_container(state.id)).exit_code == 137


async def test_a_dead_monitor_is_noticed_and_the_exit_code_after_it_is_unknown() -> None:
    async with opened() as (runtime, sandbox):
        state = await started(runtime, sandbox, FOREVER)
        found = await runtime._inspect(state.id)
        async with runtime.events() as events:
            os.kill(found["State"]["ConmonPid"], signal.SIGKILL)
            assert (await events.__anext__()).what == "keeper-lost"
            seen = await runtime.inspect_container(state.id)
            assert seen.phase is ContainerPhase.RUNNING and seen.keeper_lost
            os.kill(state.pid, signal.SIGKILL)
            assert (await events.__anext__()).what == "exited"
        seen = await runtime.inspect_container(state.id)
        assert (seen.phase, seen.exit_code, seen.keeper_lost) == (ContainerPhase.EXITED, EXIT_CODE_UNKNOWN, True)
        (listed,) = await runtime.list_sandboxes()
        assert listed.containers[0].phase is ContainerPhase.EXITED


async def test_a_sandbox_goes_although_every_monitor_is_dead() -> None:
    async with opened() as (runtime, sandbox):
        await started(runtime, sandbox, FOREVER)
        for pid in conmons():
            os.kill(pid, signal.SIGKILL)
        await runtime.remove_sandbox(sandbox.id)
        assert await runtime.list_sandboxes() == []
        assert not Path(f"/proc/{sandbox.network_pid}").exists()


async def test_a_killed_service_comes_back_and_nothing_of_the_containers_is_lost() -> None:
    async with opened() as (runtime, sandbox):
        state = await started(runtime, sandbox, "sleep 1; exit 9")
        found = subprocess.run(["pgrep", "-f", "podman.*system service"], capture_output=True, text=True, check=True)
        for pid in found.stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        with trio.fail_after(20):
            while True:
                try:
                    await runtime.ping()
                    break
                except Exception:  # noqa: BLE001 - whatever it is, it must pass
                    await trio.sleep(0.05)
        assert (await ended(runtime, state.id)).exit_code == 9


async def test_containers_of_others_are_never_seen() -> None:
    subprocess.run(["podman", "run", "-d", "--network=none", "--name=foreign", IMAGE, "sleep", "600"], check=True)
    try:
        async with opened() as (runtime, sandbox):
            assert [known.id for known in await runtime.list_sandboxes()] == [sandbox.id]
        done = subprocess.run(["podman", "ps", "--format={{.Names}}"], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["foreign"]
    finally:
        subprocess.run(["podman", "rm", "-f", "-t", "0", "foreign"], check=True, capture_output=True)


async def test_commands_leave_no_monitor_behind_and_removal_does_not_wait_for_them() -> None:
    async with opened() as (runtime, sandbox):
        state = await started(runtime, sandbox, FOREVER)
        before = conmons()
        for _ in range(3):
            async with runtime.exec(state.id, ExecSpec(command=("true",))) as session:
                while await session.receive() is not None:
                    pass
                assert await session.exit_code() == 0
        with trio.fail_after(10):
            while conmons() != before:  # noqa: ASYNC110
                await trio.sleep(0.05)
        began = trio.current_time()
        await runtime.remove_sandbox(sandbox.id)
        assert trio.current_time() - began < 2


async def test_leaving_an_exec_early_kills_its_command() -> None:
    async with opened() as (runtime, sandbox):
        state = await started(runtime, sandbox, FOREVER)
        with trio.move_on_after(0.5):
            async with runtime.exec(state.id, ExecSpec(command=("sleep", "4242"))) as session:
                await session.receive()
        found = subprocess.run(["pgrep", "-f", "^sleep 4242"], capture_output=True, text=True, check=False)
        assert found.stdout == ""


async def test_a_terminal_has_the_size_that_was_asked_for() -> None:
    async with opened() as (runtime, sandbox):
        state = await started(runtime, sandbox, FOREVER)
        output = b""
        with trio.fail_after(20):
            async with runtime.exec(state.id, ExecSpec(command=("sh",), tty=True, stdin=True)) as session:
                await session.resize(123, 45)
                await session.send(b"stty size; exit 6\n")
                while (piece := await session.receive()) is not None:
                    output += piece[1]
                assert await session.exit_code() == 6
        assert b"45 123" in output


async def test_files_of_the_host_appear_where_they_are_mounted(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("10.0.0.7 here\n")
    mounts = (
        Mount(source=str(tmp_path / "hosts"), target="/etc/hosts"),
        Mount(source=str(tmp_path), target="/data", read_only=True),
    )
    async with opened() as (runtime, sandbox):
        script = "cat /etc/hosts; hostname; touch /data/x || exit 4"
        state = await ended(runtime, (await started(runtime, sandbox, script, mounts=mounts)).id)
        assert state.exit_code == 4
        async with runtime.logs(state.id, LogOptions()) as pieces:
            text = b"".join([piece async for piece in pieces])
        assert text.startswith(b"10.0.0.7 here\nweb\n")


async def test_a_flood_of_logs_stays_within_its_bound() -> None:
    async with opened() as (runtime, sandbox):
        state = await started(runtime, sandbox, "yes 0123456789012345678901234567890123456789 | head -c 40000000")
        await ended(runtime, state.id)
        found = await runtime._inspect(state.id)
        size = Path(found["HostConfig"]["LogConfig"]["Path"]).stat().st_size
        assert 0 < size < 17 * MIB


async def test_an_image_is_pulled_from_a_registry_and_a_missing_one_is_told() -> None:
    async with open_podman(SOCKET) as runtime:
        image = await runtime.pull_image("registry.lab:5000/web:1")
        assert image.size_bytes > 0 and "registry.lab:5000/web:1" in image.names
        with pytest.raises(ImagePullFailed, match="nothing"):
            await runtime.pull_image("registry.lab:5000/nothing:1")
