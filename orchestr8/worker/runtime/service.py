"""Podman's API service: used when it runs, started as our child when it does not, and started again when it ends.

Containers outlive it and us: their keeper is conmon, which is nobody's child. Where systemd does not run, cgroups
are made by Podman itself (``cgroupfs``); then conmon stays in our unit's cgroup, which is why the unit says
``KillMode=process``. INVOCATION_ID is taken out so that conmon never carries our unit's identity.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import trio

from orchestr8.logs import get_logger
from orchestr8.worker.runtime.base import RuntimeUnavailable
from orchestr8.worker.runtime.streams import request

START_SECONDS = 30
_POLL_SECONDS = 0.02
_BACKOFF_SECONDS_FIRST = 0.1
_BACKOFF_SECONDS_MAX = 30.0
_STABLE_SECONDS = 60
_PING_SECONDS = 5
_CREDENTIALS = struct.Struct("3i")  # unix(7), SO_PEERCRED: pid, uid, gid of who listens


@contextlib.asynccontextmanager
async def open_service(socket_path: str, *, foreign: bool = False) -> AsyncIterator[None]:
    """Serves ``socket_path`` while the context lasts. Raises RuntimeUnavailable when it cannot be brought up.

    ``foreign``: it is somebody else's (systemd's podman.socket), which is waited for and never taken over.
    """
    async with trio.open_nursery() as nursery:
        if not foreign:
            nursery.start_soon(_keep_running, socket_path)
        try:
            with trio.fail_after(START_SECONDS):
                while not await answers(socket_path):  # noqa: ASYNC110 - another process makes the socket
                    await trio.sleep(_POLL_SECONDS)
        except trio.TooSlowError as error:
            nursery.cancel_scope.cancel()
            remedy = "start it (systemctl start podman.socket)" if foreign else "run `podman info` as root to see why"
            raise RuntimeUnavailable(
                f"podman's service did not answer at {socket_path} within {START_SECONDS} s: {remedy}"
            ) from error
        yield
        nursery.cancel_scope.cancel()


async def answers(socket_path: str) -> bool:
    with trio.move_on_after(_PING_SECONDS):
        try:
            status, _ = await request(socket_path, "GET", "/_ping")
        except RuntimeUnavailable:
            return False
        return status == 200
    return False


async def _ended(socket_path: str) -> None:
    """Until the process that serves the socket, which is not our child, is gone."""
    try:
        async with await trio.open_unix_socket(socket_path) as stream:
            credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        descriptor = os.pidfd_open(_CREDENTIALS.unpack(credentials)[0])
    except OSError:
        return  # it has just ended
    try:
        await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)


def service_command(socket_path: str, *, systemd: bool) -> list[str]:
    options = [] if systemd else ["--cgroup-manager=cgroupfs", "--events-backend=file"]
    return ["podman", *options, "system", "service", "--time=0", f"unix://{socket_path}"]


async def _keep_running(socket_path: str) -> None:
    command = service_command(socket_path, systemd=await trio.Path("/run/systemd/system").is_dir())
    environment = {key: value for key, value in os.environ.items() if key not in ("INVOCATION_ID", "NOTIFY_SOCKET")}
    environment["PODMAN_IGNORE_CGROUPSV1_WARNING"] = "1"
    backoff_seconds = _BACKOFF_SECONDS_FIRST
    if await answers(socket_path):  # of a worker that was killed
        await _ended(socket_path)
        get_logger().warning("podman's service of an earlier worker ended, starting another")
    while True:
        await trio.Path(socket_path).parent.mkdir(parents=True, exist_ok=True)
        await trio.Path(socket_path).unlink(missing_ok=True)
        started = trio.current_time()
        process = await trio.lowlevel.open_process(
            command,
            env=environment,
            cwd=str(Path(socket_path).parent),  # conmon leaves a file named ``oom`` where it was started
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                with trio.CancelScope(shield=True), trio.move_on_after(_PING_SECONDS):
                    await process.wait()
        if trio.current_time() - started > _STABLE_SECONDS:
            backoff_seconds = _BACKOFF_SECONDS_FIRST
        get_logger().warning("podman's service ended, starting it again", exit_code=code, in_seconds=backoff_seconds)
        await trio.sleep(backoff_seconds)
        backoff_seconds = min(_BACKOFF_SECONDS_MAX, 2 * backoff_seconds)
