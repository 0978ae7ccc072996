"""A runtime in memory, for simulation and for tests: the same contract as Podman's, on trio's (virtual) clock.

It outlives the agent that uses it, as containers do, so it is opened once per host. Its processes are script.py's.
Latencies come from a seeded source; ``fail`` may make any verb fail. ``lose_power`` is a host that goes down:
everything stops at once and only what a disk holds is left.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from random import Random

import msgspec
import trio

from orchestr8 import limits
from orchestr8.clock import Clock
from orchestr8.names import Names
from orchestr8.worker.runtime.base import (
    EXIT_CODE_UNKNOWN,
    LABEL_CONTAINER_ATTEMPT,
    LABEL_CONTAINER_NAME,
    LABEL_POD_NAME,
    LABEL_POD_NAMESPACE,
    LABEL_POD_UID,
    ContainerNotFound,
    ContainerPhase,
    ContainerSpec,
    ContainerState,
    ExecSession,
    ExecSpec,
    Image,
    ImagePullFailed,
    LogOptions,
    RuntimeEvent,
    RuntimeFailed,
    RuntimeUnavailable,
    Sandbox,
    SandboxSpec,
)
from orchestr8.worker.runtime.logs import Formatter
from orchestr8.worker.runtime.script import EXIT_CODE_NOT_FOUND, EXIT_CODE_SIGKILL, Process

VERB_SECONDS = {
    "create_sandbox": 0.06,
    "start_sandbox": 0.05,
    "remove_sandbox": 0.15,
    "create_container": 0.015,
    "start_container": 0.06,
    "remove_container": 0.05,
    "pull_image": 0.3,
}
_EVENTS_BUFFER = 1024

Fail = Callable[[str], Exception | None]


class _Container:
    def __init__(self, sandbox_id: str, spec: ContainerSpec, state: ContainerState) -> None:
        self.sandbox_id = sandbox_id
        self.spec = spec
        self.state = state
        self.log = bytearray()
        self.process: Process | None = None
        self.ended = trio.Event()


class FakeRuntime:
    """``images``: what is on the host. ``registry``: what can be pulled; None: everything can.

    ``available`` False: every call is refused. ``hangs``: every call runs into its deadline.
    """

    def __init__(self, nursery: trio.Nursery, clock: Clock, random: Random) -> None:
        self.images: dict[str, Image] = {}
        self.registry: set[str] | None = None
        self.available = True
        self.hangs = False
        self.fail: Fail = lambda verb: None
        self._nursery = nursery
        self._clock = clock
        self._random = random
        self._names = Names(random)
        self._sandboxes: dict[str, Sandbox] = {}
        self._containers: dict[str, _Container] = {}
        self._subscribers: set[trio.MemorySendChannel[RuntimeEvent]] = set()
        self._next_pid = 100

    # -- what a test does to the host ---------------------------------------------------------------------

    def add_image(self, reference: str) -> None:
        self.images[reference] = Image(id=self._names.uid(), names=(reference,), size_bytes=1_000_000)

    def kill(self, container_id: str, *, oom: bool = False) -> None:
        """SIGKILL from outside."""
        container = self._containers[container_id]
        if container.process is not None:
            container.state = msgspec.structs.replace(container.state, oom_killed=oom)
            container.process.kill()

    def lose_keeper(self, container_id: str) -> None:
        container = self._containers[container_id]
        container.state = msgspec.structs.replace(container.state, keeper_lost=True)

    def lose_power(self) -> None:
        """Every process is gone; the exit codes nobody saw."""
        for sandbox in self._sandboxes.values():
            self._sandboxes[sandbox.id] = msgspec.structs.replace(sandbox, network_pid=0)
        for container in self._containers.values():
            if container.state.phase is ContainerPhase.RUNNING and container.process is not None:
                process, container.process = container.process, None
                container.state = msgspec.structs.replace(
                    container.state, phase=ContainerPhase.EXITED, exit_code=EXIT_CODE_UNKNOWN, pid=0
                )
                process.kill()

    # -- the verbs ------------------------------------------------------------------------------------------

    async def ping(self) -> None:
        await self._verb("ping")

    async def version(self) -> str:
        await self._verb("version")
        return "fake"

    async def list_sandboxes(self) -> list[Sandbox]:
        await self._verb("list_sandboxes")
        return [self._with_containers(sandbox) for sandbox in self._sandboxes.values()]

    async def create_sandbox(self, spec: SandboxSpec) -> Sandbox:
        await self._verb("create_sandbox")
        if any(sandbox.pod_uid == spec.pod_uid for sandbox in self._sandboxes.values()):
            raise RuntimeFailed(f"a sandbox for pod {spec.pod_uid} exists already")
        own = {LABEL_POD_UID: spec.pod_uid, LABEL_POD_NAMESPACE: spec.namespace, LABEL_POD_NAME: spec.name}
        sandbox = Sandbox(
            id=self._names.uid(),
            pod_uid=spec.pod_uid,
            labels={**spec.labels, **own},
            network_pid=self._pid(),
            created_at=self._clock.now(),
        )
        self._sandboxes[sandbox.id] = sandbox
        return sandbox

    async def start_sandbox(self, sandbox_id: str) -> Sandbox:
        await self._verb("start_sandbox")
        if sandbox_id not in self._sandboxes:
            raise ContainerNotFound(f"no sandbox {sandbox_id}")
        started = msgspec.structs.replace(self._sandboxes[sandbox_id], network_pid=self._pid())
        self._sandboxes[sandbox_id] = started
        return self._with_containers(started)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self._verb("remove_sandbox")
        for container_id in [known.state.id for known in self._containers.values() if known.sandbox_id == sandbox_id]:
            self._drop(container_id)
        self._sandboxes.pop(sandbox_id, None)

    async def create_container(self, sandbox: Sandbox, spec: ContainerSpec) -> str:
        await self._verb("create_container")
        if sandbox.id not in self._sandboxes:
            raise RuntimeFailed(f"no sandbox {sandbox.id}")
        if spec.image not in self.images:
            raise RuntimeFailed(f"{spec.image}: image not known")
        for known in self._containers.values():
            if (known.sandbox_id, known.spec.name, known.spec.attempt) == (sandbox.id, spec.name, spec.attempt):
                raise RuntimeFailed(f"container {spec.name} attempt {spec.attempt} exists already")
        own = {
            LABEL_POD_UID: sandbox.pod_uid,
            LABEL_CONTAINER_NAME: spec.name,
            LABEL_CONTAINER_ATTEMPT: str(spec.attempt),
        }
        state = ContainerState(
            id=self._names.uid(),
            name=spec.name,
            attempt=spec.attempt,
            phase=ContainerPhase.CREATED,
            image=spec.image,
            image_id=self.images[spec.image].id,
            created_at=self._clock.now(),
            labels={**spec.labels, **own},
        )
        self._containers[state.id] = _Container(sandbox.id, spec, state)
        return state.id

    async def start_container(self, container_id: str) -> ContainerState:
        container = await self._at(container_id, "start_container")
        if container.state.phase is ContainerPhase.RUNNING:
            return container.state
        argv = (*container.spec.command, *container.spec.args)
        if argv and "nope" in argv[0]:
            raise RuntimeFailed(f"executable file `{argv[0]}` not found in $PATH: No such file or directory")
        process = Process(argv, container.spec.env, self._writer(container))
        container.process, container.ended = process, trio.Event()
        container.state = msgspec.structs.replace(
            container.state, phase=ContainerPhase.RUNNING, started_at=self._clock.now(), pid=self._pid()
        )
        self._nursery.start_soon(self._live, container, process)
        return container.state

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        await self._verb("stop_container")
        container = self._containers.get(container_id)
        if container is None or container.process is None:
            return
        if grace_seconds > 0:
            container.process.terminate()
            with trio.move_on_after(grace_seconds):
                await container.ended.wait()
        if container.process is not None:
            container.process.kill()
            await container.ended.wait()

    async def remove_container(self, container_id: str) -> None:
        await self._verb("remove_container")
        if container_id in self._containers:
            self._drop(container_id)

    async def inspect_container(self, container_id: str) -> ContainerState:
        return (await self._at(container_id, "inspect_container")).state

    async def find_image(self, reference: str) -> Image | None:
        await self._verb("find_image")
        return self.images.get(reference)

    async def pull_image(self, reference: str) -> Image:
        await self._verb("pull_image")
        if self.registry is not None and reference not in self.registry:
            raise ImagePullFailed(f"cannot pull {reference}: manifest unknown")
        if reference not in self.images:
            self.add_image(reference)
        return self.images[reference]

    async def list_images(self) -> list[Image]:
        await self._verb("list_images")
        return list(self.images.values())

    @contextlib.asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[RuntimeEvent]]:
        sender, receiver = trio.open_memory_channel[RuntimeEvent](_EVENTS_BUFFER)
        self._subscribers.add(sender)
        try:
            async with receiver:
                yield receiver
        finally:
            self._subscribers.discard(sender)

    @contextlib.asynccontextmanager
    async def logs(self, container_id: str, options: LogOptions) -> AsyncIterator[AsyncIterator[bytes]]:
        container = await self._at(container_id, "logs")
        async with contextlib.aclosing(_read(container, options)) as pieces:
            yield pieces

    @contextlib.asynccontextmanager
    async def exec(self, container_id: str, spec: ExecSpec) -> AsyncIterator[ExecSession]:
        container = await self._at(container_id, "exec")
        if container.process is None:
            raise RuntimeFailed(f"container {container_id} is not running")
        async with trio.open_nursery() as nursery:
            session = FakeExec(spec, container.spec)
            nursery.start_soon(session.live)
            yield session
            nursery.cancel_scope.cancel()

    # -- inside -----------------------------------------------------------------------------------------------

    async def _verb(self, verb: str) -> None:
        seconds = VERB_SECONDS.get(verb, 0.002) * self._random.uniform(0.7, 1.5)
        await trio.sleep(seconds)
        if self.hangs:
            await trio.sleep(limits.PODMAN_CALL_SECONDS)
            raise RuntimeUnavailable(f"no answer in {limits.PODMAN_CALL_SECONDS} s")
        if not self.available:
            raise RuntimeUnavailable("the fake runtime is switched off")
        error = self.fail(verb)
        if error is not None:
            raise error

    async def _at(self, container_id: str, verb: str) -> _Container:
        await self._verb(verb)
        if container_id not in self._containers:
            raise ContainerNotFound(f"no container {container_id}")
        return self._containers[container_id]

    async def _live(self, container: _Container, process: Process) -> None:
        code = await process.run()
        container.ended.set()
        if container.process is not process:
            return  # the host went down under it
        container.process = None
        container.state = msgspec.structs.replace(
            container.state,
            phase=ContainerPhase.EXITED,
            exit_code=EXIT_CODE_UNKNOWN if container.state.keeper_lost else code,
            oom_killed=container.state.oom_killed and code == EXIT_CODE_SIGKILL,
            finished_at=self._clock.now(),
            pid=0,
        )
        uid = self._sandboxes[container.sandbox_id].pod_uid if container.sandbox_id in self._sandboxes else ""
        event = RuntimeEvent(pod_uid=uid, container_id=container.state.id, what="exited")
        for subscriber in self._subscribers:
            with contextlib.suppress(trio.WouldBlock, trio.BrokenResourceError):
                subscriber.send_nowait(event)

    def _writer(self, container: _Container) -> Callable[[str, bytes], None]:
        def write(channel: str, data: bytes) -> None:
            for line in data.splitlines():
                stamp = self._clock.now().isoformat(timespec="microseconds")
                container.log += f"{stamp} {channel} F ".encode() + line + b"\n"

        return write

    def _drop(self, container_id: str) -> None:
        container = self._containers.pop(container_id)
        if container.process is not None:
            process, container.process = container.process, None
            process.kill()

    def _with_containers(self, sandbox: Sandbox) -> Sandbox:
        members = [known.state for known in self._containers.values() if known.sandbox_id == sandbox.id]
        ordered = tuple(sorted(members, key=lambda state: (state.name, state.attempt)))
        return msgspec.structs.replace(sandbox, containers=ordered)

    def _pid(self) -> int:
        self._next_pid += 1
        return self._next_pid


class FakeExec:
    """``ExecSession`` on a process of script.py."""

    def __init__(self, spec: ExecSpec, container: ContainerSpec) -> None:
        self._sender, self._receiver = trio.open_memory_channel[tuple[str, bytes]](1024)
        self._missing = bool(spec.command) and "nope" in spec.command[0]
        self._process = Process(spec.command, container.env, self._write)
        self._code = trio.Event()
        self._exit_code = 0
        self.size = (0, 0)

    async def live(self) -> None:
        async with self._sender:
            if self._missing:
                self._write("stderr", b"executable file not found\n")
                self._exit_code = EXIT_CODE_NOT_FOUND
            else:
                self._exit_code = await self._process.run()
            self._code.set()

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self._process.feed(data)

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        self._process.feed_eof()

    async def resize(self, columns: int, rows: int) -> None:
        await trio.lowlevel.checkpoint()
        self.size = (columns, rows)

    async def receive(self) -> tuple[str, bytes] | None:
        try:
            return await self._receiver.receive()
        except trio.EndOfChannel:
            return None

    async def exit_code(self) -> int:
        await self._code.wait()
        return self._exit_code

    def _write(self, channel: str, data: bytes) -> None:
        self._sender.send_nowait((channel, data))


async def _read(container: _Container, options: LogOptions) -> AsyncGenerator[bytes, None]:
    formatter, offset = Formatter(options), 0
    if options.tail_lines is not None:
        lines = bytes(container.log).splitlines(keepends=True)
        offset = sum(len(line) for line in lines[: max(0, len(lines) - options.tail_lines)])
    while True:
        ended = container.process is None or not options.follow
        data, offset = bytes(container.log[offset:]), len(container.log)
        if data and (piece := formatter.feed(data)):
            yield piece
        if ended or formatter.full:
            return
        with trio.move_on_after(0.1):
            await container.ended.wait()
