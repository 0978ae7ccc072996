"""Logs and exec: between a client and the worker that runs the pod, over the worker's own connection.

Logs are a plain text answer without a known end. Exec is a WebSocket whose messages start with a channel number:
0 stdin, 1 stdout, 2 stderr, 3 the closing Status, 4 the terminal's size; version 5 adds 255, "that channel is closed".
Source: Kubernetes, v4.channel.k8s.io and v5.channel.k8s.io.
"""

from __future__ import annotations

from typing import Any

import msgspec
import trio

from orchestr8.api import codec
from orchestr8.api.meta import Status, StatusCause, StatusDetails
from orchestr8.api.pod import Pod
from orchestr8.errors import BadRequest, Orchestr8Error
from orchestr8.master.apiserver.deps import ApiDeps, WorkerStream
from orchestr8.master.apiserver.messages import (
    TEXT,
    ClientGone,
    Refusal,
    Request,
    Send,
    Socket,
    SocketResponse,
    StreamResponse,
)
from orchestr8.master.apiserver.routes import Target
from orchestr8.master.apiserver.statuses import status_of
from orchestr8.master.apiserver.verbs import writes

SUBPROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_STDIN, _ERROR, _RESIZE, _CLOSE = 0, 3, 4, 255
_OUTPUT = {"stdout": b"\x01", "stderr": b"\x02"}


class _Size(msgspec.Struct, frozen=True, rename="pascal"):
    width: int
    height: int


async def logs(deps: ApiDeps, target: Target, request: Request) -> StreamResponse:
    """Raises NotFound (the pod) and BadRequest (its container)."""
    query = request.query
    pod = (await writes.fresh(deps, target)).obj
    assert isinstance(pod, Pod)
    container, node = _container(pod, query.text("container")), _node(pod)
    if query.text("sinceSeconds") and query.text("sinceTime"):
        raise BadRequest("at most one of sinceTime and sinceSeconds may be given")
    previous = query.flag("previous")
    _check_started(pod, container, previous)
    params = {
        "uid": pod.metadata.uid,
        "container": container,
        "follow": query.flag("follow"),
        "tail_lines": query.number("tailLines"),
        "since_seconds": query.number("sinceSeconds"),
        "since_time": query.text("sinceTime") or None,
        "previous": previous,
        "timestamps": query.flag("timestamps"),
        "limit_bytes": query.number("limitBytes"),
    }

    async def run(send: Send) -> None:
        async with deps.sessions.open_stream(node, "pod.logs", params) as stream:
            try:
                while True:
                    await send(await stream.receive())
            except trio.EndOfChannel:
                return

    return StreamResponse(run, content_type=TEXT)


async def execute(deps: ApiDeps, target: Target, request: Request) -> SocketResponse:
    """Raises NotFound (the pod), BadRequest (what is asked of it) and Refusal 400 for anything but a WebSocket."""
    query = request.query
    pod = (await writes.fresh(deps, target)).obj
    assert isinstance(pod, Pod)
    command = query.every("command")
    if not command:
        raise BadRequest("you must specify at least 1 command for the container")
    params: dict[str, Any] = {
        "uid": pod.metadata.uid,
        "container": _container(pod, query.text("container")),
        "command": list(command),
        "tty": query.flag("tty"),
        "stdin": query.flag("stdin"),
        "stdout": query.flag("stdout"),
        "stderr": query.flag("stderr"),
    }
    if not (params["stdin"] or params["stdout"] or params["stderr"]):
        raise BadRequest("you must specify at least one of stdin, stdout, stderr")
    node = _node(pod)
    if pod.status.phase in ("Succeeded", "Failed"):
        raise BadRequest(f"cannot exec into a container in a completed pod; current phase is {pod.status.phase}")
    subprotocol = _subprotocol(request)

    async def run(socket: Socket) -> None:
        try:
            async with deps.sessions.open_stream(node, "pod.exec", params) as stream:
                status = await _relay(socket, stream)
        except Orchestr8Error as error:
            status = status_of(error)
        if status is not None:
            await socket.send(bytes((_ERROR,)) + codec.encode(status))

    return SocketResponse(run, subprotocol)


def _subprotocol(request: Request) -> str:
    """Looked at last: kubectl tries another way when a WebSocket is refused, and shows only what that is told."""
    if not request.upgrade:
        raise Refusal(400, "BadRequest", f"exec needs a WebSocket with one of {', '.join(SUBPROTOCOLS)}")
    offered = request.subprotocols
    chosen = next((each for each in SUBPROTOCOLS if each in offered), "")
    if offered and not chosen:
        raise Refusal(
            400, "BadRequest", f"none of {', '.join(offered)[:200]} is spoken here: {', '.join(SUBPROTOCOLS)} are"
        )
    return chosen


async def _relay(socket: Socket, stream: WorkerStream) -> Status | None:
    """Both directions until the command ends (its Status) or the client leaves (None)."""
    status: Status | None = None
    failure: Orchestr8Error | None = None

    async def outward() -> None:
        nonlocal status, failure
        try:
            while status is None:
                message = await stream.receive()
                if "channel" in message:
                    await socket.send(_OUTPUT[message["channel"]] + message["data"])
                else:
                    status = _final(message)
        except trio.EndOfChannel:
            status = _final({"error": "the worker ended the stream before the command"})
        except Orchestr8Error as error:
            failure = error
        except ClientGone:
            pass
        nursery.cancel_scope.cancel()

    async def inward() -> None:
        nonlocal failure
        try:
            while (message := await socket.receive()) is not None:
                if (told := _from_client(message)) is not None:
                    await stream.send(told)
        except ClientGone:
            pass
        except trio.BrokenResourceError:
            await trio.sleep_forever()  # the command has ended; outward is about to hear how
        except Orchestr8Error as error:
            failure = error
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(outward)
        nursery.start_soon(inward)
    return status_of(failure) if failure is not None else status


def _from_client(message: bytes) -> dict[str, Any] | None:
    """What one WebSocket message tells the worker; None for what concerns nobody."""
    if not message:
        return None
    channel, data = message[0], message[1:]
    if channel == _STDIN:
        return {"channel": "stdin", "data": data} if data else None
    if channel == _CLOSE and data[:1] == bytes((_STDIN,)):
        return {"stdin_closed": True}
    if channel == _RESIZE:
        try:
            size = msgspec.json.decode(data, type=_Size)
        except msgspec.DecodeError:
            return None
        return {"resize": [size.width, size.height]}
    return None


def _final(message: dict[str, Any]) -> Status:
    code = message.get("exit_code")
    if code == 0:
        return Status(status="Success")
    if code is None:
        return Status(
            status="Failure", reason="InternalError", code=500, message=str(message.get("error", "the command failed"))
        )
    return Status(
        status="Failure",
        reason="NonZeroExitCode",
        message=f"command terminated with non-zero exit code: exit status {code}",
        details=StatusDetails(causes=(StatusCause(reason="ExitCode", message=str(code)),)),
    )


def _container(pod: Pod, asked: str) -> str:
    known = [container.name for container in (*pod.spec.init_containers, *pod.spec.containers)]
    if asked:
        if asked not in known:
            raise BadRequest(f"container {asked[:80]} is not valid for pod {pod.metadata.name}")
        return asked
    default = pod.metadata.annotations.get(_DEFAULT_CONTAINER, "")
    if default in known:
        return default
    if len(pod.spec.containers) == 1:
        return pod.spec.containers[0].name
    raise BadRequest(
        f"a container name must be specified for pod {pod.metadata.name}, choose one of: [{' '.join(known)}]"
    )


def _node(pod: Pod) -> str:
    if not pod.spec.node_name:
        raise BadRequest(f"pod {pod.metadata.name} does not have a host assigned")
    return pod.spec.node_name


def _check_started(pod: Pod, container: str, previous: bool) -> None:
    """What the pod's status already tells need not be asked of the worker."""
    statuses = (*pod.status.init_container_statuses, *pod.status.container_statuses)
    status = next((each for each in statuses if each.name == container), None)
    if previous or (status is not None and (status.container_id or status.restart_count)):
        return
    waiting = status.state.waiting if status is not None and status.state is not None else None
    reason = waiting.reason if waiting is not None and waiting.reason else "ContainerCreating"
    raise BadRequest(f'container "{container}" in pod "{pod.metadata.name}" is waiting to start: {reason}')
