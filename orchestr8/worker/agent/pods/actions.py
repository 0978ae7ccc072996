"""Carries out what a probe or a lifecycle hook asks for: a command, an HTTP request, a connection, a pause.

Source: Kubernetes, "Configure Liveness, Readiness and Startup Probes": HTTP succeeds from 200 to 399, a command with
exit code 0, a connection when it is accepted.
"""

from __future__ import annotations

import trio

from orchestr8.api.pod import Container, HTTPGetAction, LifecycleHandler, Probe
from orchestr8.errors import Orchestr8Error
from orchestr8.worker.agent.node.host import Host, HttpRequest, ProbeFailed
from orchestr8.worker.runtime.base import ExecSpec, Runtime

OUTPUT_BYTES_MAX = 1024  # of a command's output or a body, for the event


async def act(
    action: Probe | LifecycleHandler, container: Container, container_id: str, *, ip: str, host: Host, runtime: Runtime
) -> None:
    """Returns on success, raises ProbeFailed with the reason otherwise. The deadline is the caller's scope."""
    if action.exec is not None:
        await _exec(action.exec.command, container_id, runtime)
    elif action.http_get is not None:
        await _http_get(action.http_get, container, ip, host)
    elif action.tcp_socket is not None:
        await host.tcp_connect(action.tcp_socket.host or ip, port_number(container, action.tcp_socket.port))
    elif isinstance(action, LifecycleHandler) and action.sleep is not None:
        await trio.sleep(action.sleep.seconds)
    else:
        raise ProbeFailed("this kind of probe is not supported: use exec, httpGet or tcpSocket")


def port_number(container: Container, port: int | str) -> int:
    """Raises ProbeFailed for a name that the container's ports lack."""
    if isinstance(port, int):
        return port
    if port.isdigit():
        return int(port)
    named = next((known.container_port for known in container.ports if known.name == port), None)
    if named is None:
        raise ProbeFailed(f"container {container.name!r} has no port named {port!r}")
    return named


async def _exec(command: tuple[str, ...], container_id: str, runtime: Runtime) -> None:
    output = bytearray()
    try:
        async with runtime.exec(container_id, ExecSpec(command=command)) as session:
            while (piece := await session.receive()) is not None:
                output += piece[1][: OUTPUT_BYTES_MAX - len(output)]
            code = await session.exit_code()
    except Orchestr8Error as error:
        raise ProbeFailed(error.message) from error
    if code != 0:
        raise ProbeFailed(f"command ended with {code}: {output.decode(errors='replace').strip()}")


async def _http_get(wanted: HTTPGetAction, container: Container, ip: str, host: Host) -> None:
    request = HttpRequest(
        scheme=(wanted.scheme or "HTTP").lower(),
        host=wanted.host or ip,
        port=port_number(container, wanted.port),
        path=wanted.path or "/",
        headers=tuple((header.name, header.value) for header in wanted.http_headers),
    )
    status, body = await host.http_get(request)
    if not 200 <= status < 400:
        raise ProbeFailed(f"HTTP probe failed with statuscode: {status} {body[:OUTPUT_BYTES_MAX]}".strip())
