"""What every runtime promises (worker/runtime/base.py). Runs against the fake here and against Podman in a lab."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from orchestr8.worker.runtime.base import (
    LABEL_POD_IP,
    LABEL_POD_NAME,
    ContainerNotFound,
    ContainerPhase,
    ContainerSpec,
    ExecSpec,
    ImagePullFailed,
    LogOptions,
    Runtime,
    RuntimeFailed,
    Sandbox,
    SandboxSpec,
)
from tests.unit.worker.runtime.conftest import IMAGE, OpenRuntime

ANSWER_SECONDS = 30.0
VirtualClock = trio.abc.Clock | None


def shell(script: str, *, name: str = "main", attempt: int = 0, env: dict[str, str] | None = None) -> ContainerSpec:
    return ContainerSpec(name=name, attempt=attempt, image=IMAGE, command=("sh", "-c", script), env=env or {})


async def sandbox(runtime: Runtime, uid: str = "uid-1") -> Sandbox:
    spec = SandboxSpec(pod_uid=uid, namespace="default", name="web", hostname="web", labels={LABEL_POD_IP: "10.0.0.7"})
    return await runtime.create_sandbox(spec)


async def started(runtime: Runtime, script: str) -> str:
    container_id = await runtime.create_container(await sandbox(runtime), shell(script))
    await runtime.start_container(container_id)
    return container_id


async def read(runtime: Runtime, container_id: str, options: LogOptions) -> bytes:
    with trio.fail_after(ANSWER_SECONDS):
        async with runtime.logs(container_id, options) as pieces:
            return b"".join([piece async for piece in pieces])


@asynccontextmanager
async def ended(runtime: Runtime, container_id: str) -> AsyncIterator[None]:
    """Leaves the block once the runtime has told that the container ended; nothing asks in between."""
    async with runtime.events() as events:
        yield
        with trio.fail_after(ANSWER_SECONDS):
            async for event in events:
                if event.container_id == container_id:
                    return


async def test_a_sandbox_lives_carries_its_labels_and_is_listed(
    open_runtime: OpenRuntime, virtual_clock: VirtualClock
) -> None:
    async with open_runtime() as runtime:
        made = await sandbox(runtime)
        assert made.network_pid > 0 and made.pod_uid == "uid-1"
        (listed,) = await runtime.list_sandboxes()
        assert (listed.id, listed.network_pid, listed.containers) == (made.id, made.network_pid, ())
        assert listed.labels[LABEL_POD_IP] == "10.0.0.7" and listed.labels[LABEL_POD_NAME] == "web"


async def test_a_second_sandbox_for_one_pod_is_refused(open_runtime: OpenRuntime, virtual_clock: VirtualClock) -> None:
    async with open_runtime() as runtime:
        await sandbox(runtime)
        with pytest.raises(RuntimeFailed):
            await sandbox(runtime)
        assert len(await runtime.list_sandboxes()) == 1


async def test_a_container_is_created_runs_and_exits_with_its_code(
    open_runtime: OpenRuntime, virtual_clock: VirtualClock
) -> None:
    async with open_runtime() as runtime:
        container_id = await runtime.create_container(await sandbox(runtime), shell("sleep 0.3; exit 3"))
        assert (await runtime.inspect_container(container_id)).phase is ContainerPhase.CREATED
        async with ended(runtime, container_id):
            state = await runtime.start_container(container_id)
            assert state.phase is ContainerPhase.RUNNING and state.pid > 0 and state.started_at is not None
        state = await runtime.inspect_container(container_id)
        assert (state.phase, state.exit_code, state.oom_killed, state.pid) == (ContainerPhase.EXITED, 3, False, 0)
        assert state.started_at is not None and state.finished_at is not None and state.started_at < state.finished_at
        ((listed,),) = [known.containers for known in await runtime.list_sandboxes()]
        assert listed == state


async def test_containers_are_listed_by_name_and_attempt(
    open_runtime: OpenRuntime, virtual_clock: VirtualClock
) -> None:
    async with open_runtime() as runtime:
        made = await sandbox(runtime)
        for name, attempt in (("b", 0), ("a", 1), ("a", 0)):
            await runtime.create_container(made, shell("sleep 600", name=name, attempt=attempt))
        (listed,) = await runtime.list_sandboxes()
        assert [(state.name, state.attempt) for state in listed.containers] == [("a", 0), ("a", 1), ("b", 0)]
        with pytest.raises(RuntimeFailed):
            await runtime.create_container(made, shell("sleep 600", name="b"))


async def test_a_command_that_does_not_exist_fails_to_start(
    open_runtime: OpenRuntime, virtual_clock: VirtualClock
) -> None:
    async with open_runtime() as runtime:
        spec = ContainerSpec(name="main", attempt=0, image=IMAGE, command=("nope",))
        container_id = await runtime.create_container(await sandbox(runtime), spec)
        with pytest.raises(RuntimeFailed, match="nope"):
            await runtime.start_container(container_id)


async def test_a_container_of_a_missing_image_is_refused(
    open_runtime: OpenRuntime, virtual_clock: VirtualClock
) -> None:
    async with open_runtime() as runtime:
        spec = ContainerSpec(name="main", attempt=0, image="localhost/not-here:1")
        with pytest.raises(RuntimeFailed):
            await runtime.create_container(await sandbox(runtime), spec)
        assert await runtime.find_image("localhost/not-here:1") is None


async def test_sigterm_that_is_heard_ends_the_process_with_its_own_code(
    open_runtime: OpenRuntime, virtual_clock: VirtualClock
) -> None:
    async with open_runtime() as runtime:
        container_id = await started(runtime, "trap 'exit 5' TERM; while true; do sleep 0.1; done")
        await trio.sleep(0.5)  # the shell must have reached its trap
        began = trio.current_time()
        await runtime.stop_container(container_id, grace_seconds=20)
        assert trio.current_time() - began < 10
        assert (await runtime.inspect_container(container_id)).exit_code == 5


async def test_sigterm_that_is_ignored_becomes_sigkill_after_the_grace(
    open_runtime: OpenRuntime, virtual_clock: VirtualClock
) -> None:
    async with open_runtime() as runtime:
        container_id = await started(runtime, "trap '' TERM; while true; do sleep 0.1; done")
        await trio.sleep(0.5)
        began = trio.current_time()
        await runtime.stop_container(container_id, grace_seconds=1)
        assert trio.current_time() - began >= 1
        assert (await runtime.inspect_container(container_id)).exit_code == 137


async def test_stopping_and_removing_what_is_not_there_is_success(
    open_runtime: OpenRuntime, virtual_clock: VirtualClock
) -> None:
    async with open_runtime() as runtime:
        container_id = await started(runtime, "exit 0")
        await runtime.stop_container(container_id, grace_seconds=5)
        await runtime.remove_container(container_id)
        await runtime.remove_container(container_id)
        await runtime.stop_container(container_id, grace_seconds=5)
        (listed,) = await runtime.list_sandboxes()
        await runtime.remove_sandbox(listed.id)
        await runtime.remove_sandbox(listed.id)
        with pytest.raises(ContainerNotFound):
            await runtime.inspect_container(container_id)


async def test_removing_a_sandbox_takes_running_containers_along(
    open_runtime: OpenRuntime, virtual_clock: VirtualClock
) -> None:
    async with open_runtime() as runtime:
        container_id = await started(runtime, "trap '' TERM; while true; do sleep 0.1; done")
        (listed,) = await runtime.list_sandboxes()
        began = trio.current_time()
        await runtime.remove_sandbox(listed.id)
        assert trio.current_time() - began < 5, "it waited for a process that ignores SIGTERM"
        assert await runtime.list_sandboxes() == []
        with pytest.raises(ContainerNotFound):
            await runtime.start_container(container_id)


async def test_environment_reaches_the_process_and_logs_keep_its_lines(
    open_runtime: OpenRuntime, virtual_clock: VirtualClock
) -> None:
    async with open_runtime() as runtime:
        spec = shell("echo $GREETING; echo two; sleep 0.2; echo three >&2", env={"GREETING": "hello there"})
        container_id = await runtime.create_container(await sandbox(runtime), spec)
        async with ended(runtime, container_id):
            await runtime.start_container(container_id)
        await runtime.inspect_container(container_id)
        assert await read(runtime, container_id, LogOptions()) == b"hello there\ntwo\nthree\n"
        assert await read(runtime, container_id, LogOptions(tail_lines=2)) == b"two\nthree\n"
        assert await read(runtime, container_id, LogOptions(tail_lines=0)) == b""
        assert await read(runtime, container_id, LogOptions(limit_bytes=5)) == b"hello"
        stamped = await read(runtime, container_id, LogOptions(timestamps=True, tail_lines=1))
        assert stamped.endswith(b" three\n") and stamped[:2] in (b"19", b"20")


async def test_following_logs_ends_with_the_container(open_runtime: OpenRuntime, virtual_clock: VirtualClock) -> None:
    async with open_runtime() as runtime:
        container_id = await started(runtime, "echo one; sleep 1; echo two")
        assert await read(runtime, container_id, LogOptions(follow=True)) == b"one\ntwo\n"


async def test_exec_gives_input_takes_both_outputs_and_the_exit_code(
    open_runtime: OpenRuntime, virtual_clock: VirtualClock
) -> None:
    async with open_runtime() as runtime:
        container_id = await started(runtime, "while true; do sleep 1; done")
        spec = ExecSpec(command=("sh", "-c", "cat; echo complaint >&2; exit 7"), stdin=True)
        output = {"stdout": b"", "stderr": b""}
        with trio.fail_after(ANSWER_SECONDS):
            async with runtime.exec(container_id, spec) as session:
                await session.send(b"typed ")
                await session.send(b"text\n")
                await session.send_eof()
                while (piece := await session.receive()) is not None:
                    output[piece[0]] += piece[1]
                assert await session.exit_code() == 7
        assert output == {"stdout": b"typed text\n", "stderr": b"complaint\n"}


async def test_exec_of_a_missing_command_tells_127(open_runtime: OpenRuntime, virtual_clock: VirtualClock) -> None:
    async with open_runtime() as runtime:
        container_id = await started(runtime, "while true; do sleep 1; done")
        with trio.fail_after(ANSWER_SECONDS):
            async with runtime.exec(container_id, ExecSpec(command=("nope",))) as session:
                output = b""
                while (piece := await session.receive()) is not None:
                    output += piece[1]
                assert await session.exit_code() == 127
        assert b"not found" in output


async def test_exec_in_a_container_that_has_ended_fails(open_runtime: OpenRuntime, virtual_clock: VirtualClock) -> None:
    async with open_runtime() as runtime:
        container_id = await started(runtime, "sleep 600")
        await runtime.stop_container(container_id, 0)
        with pytest.raises((RuntimeFailed, ContainerNotFound)):
            async with runtime.exec(container_id, ExecSpec(command=("true",))):
                pass


async def test_a_pull_from_nowhere_fails_with_a_reason(open_runtime: OpenRuntime, virtual_clock: VirtualClock) -> None:
    async with open_runtime() as runtime:
        with pytest.raises(ImagePullFailed, match="not-there"):
            await runtime.pull_image("127.0.0.1:1/not-there:1")


async def test_images_are_listed_by_name(open_runtime: OpenRuntime, virtual_clock: VirtualClock) -> None:
    async with open_runtime() as runtime:
        found = await runtime.find_image(IMAGE)
        assert found is not None and found.size_bytes > 0
        assert any(IMAGE in image.names and image.id == found.id for image in await runtime.list_images())
