"""What masters may ask of this node over its own connection: logs of a container, and commands in it.

Messages as in docs/design/0001-seams.md section 5. Errors end the stream with their code; those that a user should
read in his terminal come as ``{"error": ...}`` after the output.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec
import trio

from orchestr8.clock import Clock
from orchestr8.errors import BadRequest, NotFound, Orchestr8Error
from orchestr8.rpc.service import MASTERS, MessageStream, Peer, Service
from orchestr8.worker.agent.pods.pod_task import PodTask
from orchestr8.worker.runtime.base import (
    ContainerNotFound,
    ContainerPhase,
    ContainerState,
    ExecSession,
    ExecSpec,
    LogOptions,
    Runtime,
    RuntimeFailed,
)


class LogParams(msgspec.Struct, frozen=True, kw_only=True):
    uid: str
    container: str = ""
    follow: bool = False
    tail_lines: int | None = None
    since_seconds: int | None = None
    since_time: str | None = None
    previous: bool = False
    timestamps: bool = False
    limit_bytes: int | None = None


class ExecParams(msgspec.Struct, frozen=True, kw_only=True):
    uid: str
    command: tuple[str, ...]
    container: str = ""
    tty: bool = False
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True


def agent_service(runtime: Runtime, tasks: Mapping[str, PodTask], clock: Clock) -> Service:
    served = _Served(runtime, tasks, clock)
    return Service(streams={"pod.logs": served.logs, "pod.exec": served.exec}, roles=(MASTERS,))


class _Served:
    def __init__(self, runtime: Runtime, tasks: Mapping[str, PodTask], clock: Clock) -> None:
        self._runtime = runtime
        self._tasks = tasks
        self._clock = clock

    async def logs(self, peer: Peer, params: Any, stream: MessageStream) -> None:
        wanted = msgspec.convert(params, LogParams)
        state = self._attempt(wanted.uid, wanted.container, previous=wanted.previous)
        options = LogOptions(
            follow=wanted.follow,
            tail_lines=wanted.tail_lines,
            since=self._since(wanted),
            timestamps=wanted.timestamps,
            limit_bytes=wanted.limit_bytes,
        )
        try:
            async with self._runtime.logs(state.id, options) as pieces:
                async for piece in pieces:
                    await stream.send(piece)
        except ContainerNotFound as error:
            raise NotFound(f"container {state.name!r} has just been removed") from error

    async def exec(self, peer: Peer, params: Any, stream: MessageStream) -> None:
        wanted = msgspec.convert(params, ExecParams)
        state = self._attempt(wanted.uid, wanted.container, previous=False)
        if state.phase is not ContainerPhase.RUNNING:
            raise BadRequest(f"container {state.name!r} is not running")
        spec = ExecSpec(command=wanted.command, tty=wanted.tty, stdin=wanted.stdin)
        try:
            async with self._runtime.exec(state.id, spec) as session, trio.open_nursery() as nursery:
                nursery.start_soon(_take_input, session, stream)
                while (piece := await session.receive()) is not None:
                    channel, data = piece
                    if wanted.stdout if channel == "stdout" else wanted.stderr:
                        await stream.send({"channel": channel, "data": data})
                code = await session.exit_code()
                nursery.cancel_scope.cancel()
            await stream.send({"exit_code": code})
        except (RuntimeFailed, ContainerNotFound) as error:
            await stream.send({"error": error.message})

    def _attempt(self, uid: str, container: str, *, previous: bool) -> ContainerState:
        task = self._tasks.get(uid)
        if task is None:
            raise NotFound(f"no pod with uid {uid} on this node")
        name = container or task.pod.spec.containers[0].name
        attempts = task.observed.containers.get(name, ())
        known = {item.name for item in (*task.pod.spec.init_containers, *task.pod.spec.containers)}
        if name not in known:
            raise BadRequest(f"container {name} is not valid for pod {task.name.name}")
        if previous:
            if len(attempts) < 2:
                raise BadRequest(f"previous terminated container {name!r} in pod {task.name.name!r} not found")
            return attempts[-2]
        if not attempts:
            raise BadRequest(f"container {name!r} in pod {task.name.name!r} is waiting to start")
        return attempts[-1]

    def _since(self, wanted: LogParams) -> dt.datetime | None:
        if wanted.since_time:
            try:
                return dt.datetime.fromisoformat(wanted.since_time)
            except ValueError as error:
                raise BadRequest(
                    f"sinceTime {wanted.since_time!r} is not a time such as 2024-01-31T12:00:00Z"
                ) from error
        if wanted.since_seconds is not None:
            return self._clock.now() - dt.timedelta(seconds=wanted.since_seconds)
        return None


async def _take_input(session: ExecSession, stream: MessageStream) -> None:
    """Until the master has nothing more to say; whoever goes away takes the command along."""
    try:
        async for message in stream:
            if message.get("channel") == "stdin":
                await session.send(bytes(message["data"]))
            elif message.get("stdin_closed"):
                await session.send_eof()
            elif message.get("resize"):
                columns, rows = message["resize"]
                await session.resize(int(columns), int(rows))
    except Orchestr8Error:
        return  # the handler itself is cancelled when the stream is gone
