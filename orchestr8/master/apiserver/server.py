"""The API server of a master: the handler behind an HTTPS listener."""

from __future__ import annotations

import ssl

import trio

from orchestr8.master.apiserver.deps import ApiDeps
from orchestr8.master.apiserver.handler import ApiHandler
from orchestr8.master.apiserver.transport.http import serve_http


async def serve_api(
    deps: ApiDeps,
    tls: ssl.SSLContext,
    address: str,
    port: int,
    *,
    stopping: trio.Event,
    task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until ``stopping`` is set and requests under way are answered. Reports (address, port) once it listens.

    ``tls`` asks clients for a certificate but does not insist on one, so that tokens work. Port 0: any free one.
    """
    api = ApiHandler(deps)
    await serve_http(api.handle, tls, address, port, gate=api.gate, stopping=stopping, task_status=task_status)
