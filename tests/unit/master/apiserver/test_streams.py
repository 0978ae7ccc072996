from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from orchestr8.api import kinds
from orchestr8.api.container import Container
from orchestr8.api.meta import ObjectMeta
from orchestr8.api.pod import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateWaiting,
    ContainerStatus,
    Pod,
    PodSpec,
    PodStatus,
)
from orchestr8.errors import BadRequest, NotFound, Unavailable
from orchestr8.master.apiserver.messages import Query, Refusal, Request
from orchestr8.master.apiserver.routes import Target
from orchestr8.master.apiserver.verbs import streams
from orchestr8.worker.agent.masters.served import ExecParams, LogParams
from tests.unit.master.apiserver.stage import FakeSocket, FakeWorker, deps, state_with

V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"


def running(name: str) -> ContainerStatus:
    return ContainerStatus(name=name, container_id="podman://1", state=ContainerState(running=ContainerStateRunning()))


def pod(
    *names: str,
    node: str | None = "w1",
    phase: str = "Running",
    statuses: tuple[ContainerStatus, ...] | None = None,
    annotations: dict[str, str] | None = None,
) -> Pod:
    names = names or ("main",)
    return Pod(
        metadata=ObjectMeta(name="p", namespace="x", uid="u-1", annotations=annotations or {}),
        spec=PodSpec(containers=tuple(Container(name=name) for name in names), node_name=node),
        status=PodStatus(phase=phase, container_statuses=tuple(map(running, names)) if statuses is None else statuses),
    )


def target(subresource: str, name: str = "p") -> Target:
    return Target(kinds.by_name("Pod"), "x", name, subresource)


async def read_log(worker: FakeWorker, query: str = "", of: Pod | None = None) -> bytes:
    request = Request("GET", "/", Query.parse(query))
    answer = await streams.logs(deps(state_with(of or pod()), worker), target("log"), request)
    assert answer.content_type.startswith("text/plain")
    written: list[bytes] = []

    async def send(data: bytes) -> None:
        written.append(data)

    await answer.run(send)
    return b"".join(written)


def exec_request(query: str = "command=ls&stdout=true", offered: str = f"{V5}, {V4}", upgrade: bool = True) -> Request:
    headers = {"sec-websocket-protocol": offered} if offered else {}
    return Request("GET", "/", Query.parse(query), headers, upgrade=upgrade)


async def execute(worker: FakeWorker, socket: FakeSocket, query: str = "command=ls&stdout=true&stdin=true") -> Any:
    """What the client hears on channel 3, or None; everything it hears is in the socket."""
    answer = await streams.execute(deps(state_with(pod()), worker), target("exec"), exec_request(query))
    await answer.run(socket)
    assert worker.closed
    final = [message[1:] for message in socket.heard if message[:1] == b"\x03"]
    return json.loads(final[0]) if final else None


# -- logs ------------------------------------------------------------------------------------------


async def test_a_log_is_what_the_worker_sends() -> None:
    worker = FakeWorker(b"one\n", b"two\n")
    assert await read_log(worker) == b"one\ntwo\n"
    assert worker.closed


async def test_every_parameter_of_a_log_reaches_the_worker() -> None:
    worker = FakeWorker()
    query = "follow=true&tailLines=5&sinceSeconds=60&previous=true&timestamps=true&limitBytes=99&container=main"
    await read_log(worker, query)
    ((node, method, params),) = worker.opened
    assert (node, method) == ("w1", "pod.logs")
    assert msgspec.convert(params, LogParams) == LogParams(
        uid="u-1",
        container="main",
        follow=True,
        tail_lines=5,
        since_seconds=60,
        previous=True,
        timestamps=True,
        limit_bytes=99,
    )
    assert params.keys() == set(LogParams.__struct_fields__)


async def test_a_time_to_start_from_reaches_the_worker() -> None:
    worker = FakeWorker()
    await read_log(worker, "sinceTime=2026-02-02T12:00:00Z")
    assert worker.opened[0][2]["since_time"] == "2026-02-02T12:00:00Z"


@pytest.mark.parametrize(
    ("of", "query", "message"),
    [
        (pod("a", "b"), "", r"a container name must be specified for pod p, choose one of: \[a b\]"),
        (pod("a"), "container=z", "container z is not valid for pod p"),
        (pod("a"), "tailLines=-1", "tailLines=-1"),
        (pod("a"), "follow=perhaps", "follow=perhaps"),
        (pod("a"), "sinceSeconds=1&sinceTime=2026-02-02T12:00:00Z", "at most one of sinceTime and sinceSeconds"),
        (pod("a", node=None), "", "does not have a host assigned"),
        (pod("a", statuses=()), "", 'container "a" in pod "p" is waiting to start: ContainerCreating'),
        (
            pod(
                "a",
                statuses=(
                    ContainerStatus(
                        name="a", state=ContainerState(waiting=ContainerStateWaiting(reason="ImagePullBackOff"))
                    ),
                ),
            ),
            "",
            'container "a" in pod "p" is waiting to start: ImagePullBackOff',
        ),
    ],
)
async def test_a_log_that_cannot_be_is_refused_in_words_that_say_why(of: Pod, query: str, message: str) -> None:
    worker = FakeWorker()
    with pytest.raises(BadRequest, match=message):
        await read_log(worker, query, of)
    assert worker.opened == []


async def test_the_default_container_can_be_named_by_annotation() -> None:
    worker = FakeWorker()
    await read_log(worker, "", pod("a", "b", annotations={"kubectl.kubernetes.io/default-container": "b"}))
    assert worker.opened[0][2]["container"] == "b"


async def test_a_container_that_waits_to_start_again_still_has_a_log() -> None:
    waiting = ContainerState(waiting=ContainerStateWaiting(reason="CrashLoopBackOff"))
    restarted = ContainerStatus(name="main", restart_count=3, state=waiting)
    assert await read_log(FakeWorker(b"boom\n"), "", pod(statuses=(restarted,))) == b"boom\n"


async def test_the_log_of_no_pod_is_not_found() -> None:
    with pytest.raises(NotFound, match='pods "q" not found'):
        await streams.logs(deps(state_with(pod()), FakeWorker()), target("log", "q"), Request("GET", "/"))


async def test_what_the_worker_refuses_is_the_answer() -> None:
    worker = FakeWorker(failure=BadRequest("previous terminated container 'main' in pod 'p' not found"))
    with pytest.raises(BadRequest, match="previous terminated container"):
        await read_log(worker, "previous=true")


# -- exec ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("offered", "chosen"), [(f"{V5}, {V4}", V5), (f"{V4}, {V5}", V5), (V4, V4), ("", "")])
async def test_the_newest_protocol_that_both_speak_is_chosen(offered: str, chosen: str) -> None:
    answer = await streams.execute(deps(state_with(pod()), FakeWorker()), target("exec"), exec_request(offered=offered))
    assert answer.subprotocol == chosen


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (exec_request(upgrade=False), "exec needs a WebSocket"),
        (exec_request(offered="v1.channel.k8s.io"), "v1.channel.k8s.io is spoken here"),
        (exec_request("stdout=true"), "at least 1 command"),
        (exec_request("command=ls"), "at least one of stdin, stdout, stderr"),
        (exec_request("command=ls&stdout=true&container=z"), "container z is not valid for pod p"),
    ],
)
async def test_an_exec_that_cannot_be_is_refused(request_: Request, message: str) -> None:
    with pytest.raises((BadRequest, Refusal), match=message):
        await streams.execute(deps(state_with(pod()), FakeWorker()), target("exec"), request_)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_completed_pod_runs_no_commands(phase: str) -> None:
    with pytest.raises(BadRequest, match=f"completed pod; current phase is {phase}"):
        await streams.execute(deps(state_with(pod(phase=phase)), FakeWorker()), target("exec"), exec_request())


async def test_every_parameter_of_an_exec_reaches_the_worker() -> None:
    worker = FakeWorker({"exit_code": 0})
    await execute(worker, FakeSocket(), "command=sh&command=-c&command=ls&stdin=1&stdout=1&stderr=0&tty=true")
    ((node, method, params),) = worker.opened
    assert (node, method) == ("w1", "pod.exec")
    assert msgspec.convert(params, ExecParams) == ExecParams(
        uid="u-1", container="main", command=("sh", "-c", "ls"), stdin=True, stdout=True, stderr=False, tty=True
    )


async def test_output_comes_on_its_channel_and_the_end_on_the_third() -> None:
    out, err = {"channel": "stdout", "data": b"out"}, {"channel": "stderr", "data": b"err"}
    socket = FakeSocket()
    status = await execute(FakeWorker(out, err, {"exit_code": 0}), socket)
    assert socket.heard[:2] == [b"\x01out", b"\x02err"]
    assert socket.heard[2][:1] == b"\x03"
    assert len(socket.heard) == 3
    assert (status["kind"], status["status"]) == ("Status", "Success")


async def test_a_command_that_fails_tells_its_exit_code_as_a_cause() -> None:
    status = await execute(FakeWorker({"exit_code": 3}), FakeSocket())
    assert (status["status"], status["reason"]) == ("Failure", "NonZeroExitCode")
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


@pytest.mark.parametrize(
    ("worker", "reason", "message"),
    [
        ("error", "InternalError", "no such file: lss"),
        ("cut", "InternalError", "the worker ended the stream before the command"),
        ("unavailable", "ServiceUnavailable", "node w1 is not connected"),
    ],
)
async def test_a_command_that_cannot_run_says_why(worker: str, reason: str, message: str) -> None:
    workers: dict[str, Callable[[], FakeWorker]] = {
        "error": lambda: FakeWorker({"error": "no such file: lss"}),
        "cut": FakeWorker,
        "unavailable": lambda: FakeWorker(failure=Unavailable("node w1 is not connected to any master")),
    }
    status = await execute(workers[worker](), FakeSocket())
    assert (status["status"], status["reason"]) == ("Failure", reason)
    assert message in status["message"]


async def test_input_sizes_and_the_end_of_input_reach_the_worker() -> None:
    worker = FakeWorker(quiet=True)
    worker.replies["stdin_closed"] = {"exit_code": 0}
    socket = FakeSocket(b"\x00hello", b"\x00", b'\x04{"Width":80,"Height":24}', b"\xff\x00")
    status = await execute(worker, socket)
    assert worker.heard == [{"channel": "stdin", "data": b"hello"}, {"resize": [80, 24]}, {"stdin_closed": True}]
    assert status["status"] == "Success"


async def test_messages_that_mean_nothing_are_passed_over() -> None:
    worker = FakeWorker(quiet=True)
    worker.replies["stdin_closed"] = {"exit_code": 0}
    socket = FakeSocket(b"", b"\x04junk", b'\x04{"Width":"wide"}', b"\x01not yours", b"\xff\x01", b"\x09?", b"\xff\x00")
    await execute(worker, socket)
    assert worker.heard == [{"stdin_closed": True}]


async def test_a_client_that_leaves_ends_the_command_without_a_word() -> None:
    socket = FakeSocket(b"\x00hello", stays=False)
    assert await execute(FakeWorker(quiet=True), socket) is None
    assert socket.heard == []


async def test_a_client_that_no_longer_reads_ends_the_command() -> None:
    assert await execute(FakeWorker({"channel": "stdout", "data": b"out"}, quiet=True), FakeSocket(gone=True)) is None
