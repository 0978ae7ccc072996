"""The runtime on Podman 4.3 to 5.4: the verbs of base.py over libpod's socket.

Plain verbs go through podman's own client in threads, at most a few at once, each with the caller's deadline; what
streams or must be cancelled goes through streams.py, logs are read from their files, ends of processes are seen by
watch.py. Judgements about what Podman says are in translate.py. Nothing without our label is ever named in a call.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shutil
import signal
import tarfile
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import msgspec
import trio

from orchestr8.worker.runtime import translate
from orchestr8.worker.runtime.base import (
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
from orchestr8.worker.runtime.client import PodmanClient
from orchestr8.worker.runtime.confinement import confinement
from orchestr8.worker.runtime.keepers import end_all, is_conmon, let_go
from orchestr8.worker.runtime.logs import read_log
from orchestr8.worker.runtime.service import open_service
from orchestr8.worker.runtime.streams import PodmanExec, complaint, open_exec, request
from orchestr8.worker.runtime.watch import ExitWatch

INFRA_IMAGE = "localhost/orchestr8-pause:1"

_EVENTS_BUFFER = 1024
_SETTLE_SECONDS = 5  # from the end of a process until conmon has written its exit code
_SETTLE_POLL_SECONDS = 0.01
_INSPECT_TRIES = 10
_REMOVE_TRIES = 3
_SIGKILL_ANSWER_SECONDS = 10


@contextlib.asynccontextmanager
async def open_podman(socket_path: str, *, foreign: bool = False) -> AsyncIterator[PodmanRuntime]:
    """Uses the service at ``socket_path``, or starts one there unless it is ``foreign``. Containers stay when the
    context ends."""
    async with open_service(socket_path, foreign=foreign), trio.open_nursery() as nursery:
        runtime = PodmanRuntime(socket_path, nursery)
        await runtime.prepare()
        yield runtime
        nursery.cancel_scope.cancel()


class PodmanRuntime:
    """``Runtime`` on one Podman socket."""

    def __init__(self, socket_path: str, nursery: trio.Nursery) -> None:
        self._socket_path = socket_path
        self._client = PodmanClient(socket_path)
        self._watch = ExitWatch(nursery, self._ended)
        self._pods: dict[str, str] = {}  # id of a container (infra included) -> uid of its pod
        self._states: dict[str, ContainerState] = {}  # as last inspected
        self._with_sessions: set[str] = set()  # containers in which we ran a command
        self._subscribers: set[trio.MemorySendChannel[RuntimeEvent]] = set()
        self._may = confinement()
        self._version = ""

    # -- the service ----------------------------------------------------------------------------------

    async def ping(self) -> None:
        status, _ = await request(self._socket_path, "GET", "/_ping")
        if status != 200:
            raise RuntimeUnavailable(f"podman answers its ping with {status}")

    async def version(self) -> str:
        """From the ping: Podman's own version call takes up to a second."""
        answer = await self._client.call("GET", "/_ping")
        self._version = str(answer.headers.get("Libpod-Api-Version", ""))
        return self._version

    async def prepare(self) -> None:
        """Makes the image of the sandboxes' first process from catatonit; no registry is asked."""
        await self.version()
        if await self.find_image(INFRA_IMAGE) is not None:
            return
        catatonit = shutil.which("catatonit", path="/usr/libexec/podman:/usr/lib/podman:/usr/bin:/usr/local/bin")
        if catatonit is None:
            raise RuntimeFailed("catatonit is not installed: every pod's first process is made of it (apt: catatonit)")
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
            tar.add(catatonit, arcname="pause")
        query = {"reference": INFRA_IMAGE, "changes": 'ENTRYPOINT ["/pause","-P"]'}
        await self._client.call("POST", "/images/import", query, archive.getvalue(), content_type="application/x-tar")

    # -- sandboxes ------------------------------------------------------------------------------------

    async def list_sandboxes(self) -> list[Sandbox]:
        """One unfiltered list, chosen by label here: a filter that Podman misreads answers an empty list."""
        known_before = set(self._pods)
        listed = (await self._client.call("GET", "/containers/json", {"all": "true"})).json()
        ours = [item for item in listed if translate.is_ours(item)]
        states: dict[str, ContainerState] = {}
        for item in ours:
            self._pods[item["Id"]] = item["Labels"][LABEL_POD_UID]
            with contextlib.suppress(ContainerNotFound):
                states[item["Id"]] = self._still(item) or await self.inspect_container(item["Id"])
        for gone in known_before - {item["Id"] for item in ours}:
            self._forget(gone)  # somebody else removed it
        return translate.group(ours, states)

    async def create_sandbox(self, spec: SandboxSpec) -> Sandbox:
        body = translate.sandbox_body(spec, INFRA_IMAGE, self._version)
        made = await self._client.call("POST", "/pods/create", body=body)
        return await self._start_infra(str(made.json()["Id"]), body["labels"])

    async def start_sandbox(self, sandbox_id: str) -> Sandbox:
        """Starts only its first process: the containers are the agent's to start."""
        pod = (await self._client.call("GET", f"/pods/{sandbox_id}/json")).json()
        started = await self._start_infra(sandbox_id, pod.get("Labels") or {})
        members = [item["Id"] for item in pod.get("Containers") or () if item["Id"] != pod["InfraContainerID"]]
        states = [await self.inspect_container(container_id) for container_id in members]
        ordered = tuple(sorted(states, key=lambda state: (state.name, state.attempt)))
        return msgspec.structs.replace(started, containers=ordered)

    async def _start_infra(self, sandbox_id: str, labels: dict[str, str]) -> Sandbox:
        pod_uid = labels[LABEL_POD_UID]
        state = await self.start_container(translate.infra_name(pod_uid))
        self._pods[state.id] = pod_uid
        if state.created_at is None or not state.pid:
            raise RuntimeFailed(f"the first process of sandbox {sandbox_id[:12]} ended at once")
        return Sandbox(
            id=sandbox_id, pod_uid=pod_uid, labels=labels, network_pid=state.pid, created_at=state.created_at
        )

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """``timeout=0``: else Podman waits ten seconds for every process that ignores SIGTERM."""
        with contextlib.suppress(ContainerNotFound):
            pod = (await self._client.call("GET", f"/pods/{sandbox_id}/json")).json()
            for container in pod.get("Containers") or ():
                await self._end_sessions(container["Id"])
            await self._delete(f"/pods/{sandbox_id}", {"force": "true", "timeout": "0"})
            for container in pod.get("Containers") or ():
                self._forget(container["Id"])

    # -- containers -----------------------------------------------------------------------------------

    async def create_container(self, sandbox: Sandbox, spec: ContainerSpec) -> str:
        body = translate.container_body(sandbox, spec, self._may)
        try:
            made = await self._client.call("POST", "/containers/create", body=body)
        except ContainerNotFound as error:
            raise RuntimeFailed(error.message) from error
        container_id = str(made.json()["Id"])
        self._pods[container_id] = sandbox.pod_uid
        return container_id

    async def start_container(self, container_id: str) -> ContainerState:
        self._states.pop(container_id, None)
        await self._client.call("POST", f"/containers/{container_id}/start")
        state = await self.inspect_container(container_id)
        if state.phase is ContainerPhase.EXITED:  # before it could be watched
            self._ended(container_id, "exited")
        return state

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """Signals and waits here instead of in Podman's own stop, so that a long grace holds no thread."""
        try:
            found = await self._inspect(container_id)
        except ContainerNotFound:
            return
        state = await self._settled(found)
        if state.phase is not ContainerPhase.RUNNING:
            return
        if grace_seconds > 0:
            await self._signal(container_id, translate.stop_signal(found))
            with trio.move_on_after(grace_seconds):
                await self._watch.wait_ended(container_id)
        if self._watch.alive(container_id):
            await self._signal(container_id, "SIGKILL")
            with trio.move_on_after(_SIGKILL_ANSWER_SECONDS):
                await self._watch.wait_ended(container_id)
            if self._watch.alive(container_id):
                raise RuntimeFailed(f"container {container_id[:12]} is alive {_SIGKILL_ANSWER_SECONDS} s after SIGKILL")

    async def remove_container(self, container_id: str) -> None:
        with contextlib.suppress(ContainerNotFound):
            await self._end_sessions(container_id)
            query = {"force": "true", "timeout": "0", "v": "true"}
            await self._delete(f"/containers/{container_id}", query)
        self._forget(container_id)

    async def inspect_container(self, container_id: str) -> ContainerState:
        """Waits until Podman knows the exit code of a process that is gone already."""
        return await self._settled(await self._inspect(container_id))

    # -- images ---------------------------------------------------------------------------------------

    async def find_image(self, reference: str) -> Image | None:
        try:
            return translate.image((await self._client.call("GET", f"/images/{quote(reference, safe='')}/json")).json())
        except ContainerNotFound:
            return None

    async def pull_image(self, reference: str) -> Image:
        """Over a connection of its own: a pull of ten minutes holds no thread and ends with its scope."""
        query = {"reference": reference, "policy": "always"}
        status, data = await request(self._socket_path, "POST", "/images/pull", query=query)
        if status >= 400:
            raise ImagePullFailed(f"cannot pull {reference}: {complaint(data)}")
        try:
            translate.pulled_id(data)
        except ValueError as error:
            raise ImagePullFailed(f"cannot pull {reference}: {error}") from error
        found = await self.find_image(reference)
        if found is None:
            raise ImagePullFailed(f"cannot pull {reference}: the registry answered, but the image is not here")
        return found

    async def list_images(self) -> list[Image]:
        return [translate.image(item) for item in (await self._client.call("GET", "/images/json")).json()]

    # -- streams --------------------------------------------------------------------------------------

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
        found = await self._inspect(container_id)
        path = str(found["HostConfig"]["LogConfig"].get("Path") or "")
        if not path:
            raise RuntimeFailed(f"container {container_id[:12]} has no log file")
        async with contextlib.aclosing(
            read_log(path, options, functools.partial(self._ended_for_good, container_id))
        ) as pieces:
            yield pieces

    @contextlib.asynccontextmanager
    async def exec(self, container_id: str, spec: ExecSpec) -> AsyncIterator[ExecSession]:
        """Podman does not end a command whose client left, so we do, by its pid."""
        async with open_exec(self._socket_path, container_id, spec) as session:
            self._with_sessions.add(container_id)
            try:
                yield session
            finally:
                with trio.CancelScope(shield=True), trio.move_on_after(_SETTLE_SECONDS):
                    await self._end_exec(session)

    # -- inside ---------------------------------------------------------------------------------------

    async def _inspect(self, container_id: str) -> dict[str, Any]:
        """Podman fails an inspect whose process dies meanwhile ("read /proc/N/cgroup: no such process")."""
        for _ in range(_INSPECT_TRIES - 1):
            try:
                return await self._inspect_once(container_id)
            except RuntimeFailed as error:
                if "no such process" not in error.message:
                    raise
                await trio.sleep(_SETTLE_POLL_SECONDS)
        return await self._inspect_once(container_id)

    async def _inspect_once(self, container_id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self._client.call("GET", f"/containers/{container_id}/json")).json()
        return found

    async def _delete(self, path: str, query: dict[str, str]) -> None:
        """Podman 5 refuses once because of a lost monitor, takes that container for ended, and removes it when asked
        again; a sandbox asks for its containers first and then for its first process."""
        for _ in range(_REMOVE_TRIES - 1):
            try:
                await self._client.call("DELETE", path, query)
                return
            except RuntimeFailed as error:
                if "conmon exited prematurely" not in error.message:
                    raise
        await self._client.call("DELETE", path, query)

    async def _settled(self, found: dict[str, Any]) -> ContainerState:
        container_id = found["Id"]
        with trio.move_on_after(_SETTLE_SECONDS):
            while True:
                state, settled = self._judge(found)
                if settled:
                    break
                await trio.sleep(_SETTLE_POLL_SECONDS)
                found = await self._inspect(container_id)
        state, _ = self._judge(found)
        if container_id in self._pods:
            self._states[container_id] = state
        return state

    def _still(self, item: dict[str, Any]) -> ContainerState | None:
        """The state as last inspected, when the list and the watch say that nothing happened since."""
        state = self._states.get(item["Id"])
        if state is None or state.phase is ContainerPhase.CREATED:
            return None
        running = state.phase is ContainerPhase.RUNNING
        return state if running == self._watch.alive(item["Id"]) == (item["State"] == "running") else None

    def _judge(self, found: dict[str, Any]) -> tuple[ContainerState, bool]:
        """The state, and whether it is final: not while a process is gone whose keeper has yet to tell how."""
        container_id, reported = found["Id"], found["State"]
        pid, keeper_pid = int(reported.get("Pid") or 0), int(reported.get("ConmonPid") or 0)
        running = reported["Status"] in ("running", "paused", "stopping")
        alive = running and self._watch.add(container_id, pid, keeper_pid)
        keeper_alive = self._watch.keeper_alive(container_id)
        state = translate.container_state(
            found, alive=alive, keeper_alive=keeper_alive, oom_kills=self._watch.oom_kills(container_id)
        )
        return state, alive or not running or not (keeper_alive or is_conmon(keeper_pid))

    async def _signal(self, container_id: str, signal: str) -> None:
        """A process that ended in between is no failure; a lost keeper makes Podman refuse what the kernel does."""
        try:
            await self._client.call("POST", f"/containers/{container_id}/kill", {"signal": signal})
        except (ContainerNotFound, RuntimeFailed):
            if self._watch.alive(container_id) and signal == "SIGKILL":
                raise

    async def _ended_for_good(self, container_id: str) -> None:
        await self._watch.wait_ended(container_id)
        while True:
            try:
                state = await self.inspect_container(container_id)
            except ContainerNotFound:
                return
            if state.phase is ContainerPhase.EXITED:
                return
            await self._watch.wait_ended(container_id)
            await trio.sleep(_SETTLE_POLL_SECONDS)

    async def _end_exec(self, session: PodmanExec) -> None:
        with contextlib.suppress(ContainerNotFound, RuntimeFailed, RuntimeUnavailable):
            found = await session.inspect()
            pid = int(found.get("Pid") or 0)
            if found.get("Running") and pid > 0:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                await session.exit_code()
        await trio.to_thread.run_sync(let_go, session.id)

    async def _end_sessions(self, container_id: str) -> None:
        if container_id in self._with_sessions:
            await trio.to_thread.run_sync(end_all, container_id)

    def _ended(self, container_id: str, what: str) -> None:
        event = RuntimeEvent(pod_uid=self._pods.get(container_id, ""), container_id=container_id, what=what)
        for subscriber in self._subscribers:
            with contextlib.suppress(trio.WouldBlock, trio.BrokenResourceError):
                subscriber.send_nowait(event)

    def _forget(self, container_id: str) -> None:
        self._watch.forget(container_id)
        self._pods.pop(container_id, None)
        self._states.pop(container_id, None)
        self._with_sessions.discard(container_id)
