"""Own client of Podman's socket for what must stream or be cancelled at any moment: pull and exec.

A call opens its own connection and closes it when its scope ends, which is how Podman learns of a cancel. An exec
is an HTTP upgrade: after ``101`` both sides speak raw bytes. Without a terminal the output comes in frames of an
8-byte head (channel, three zeros, length in big-endian) and its data; with one it is bare.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

import h11
import msgspec
import trio

from orchestr8.errors import DeadlineExceeded
from orchestr8.worker.runtime.base import ContainerNotFound, ExecSpec, RuntimeFailed, RuntimeUnavailable

API_PREFIX = "/v4.0.0/libpod"  # understood by 4.3 and by 5.4

_READ_BYTES = 64 * 1024
_ANSWER_BYTES_MAX = 8 * 1024 * 1024
_RESIZE_TRIES = 5
_EXIT_POLL_SECONDS = 0.01
_EXIT_WAIT_SECONDS = 10
_CHANNELS = {1: "stdout", 2: "stderr"}


async def request(
    socket_path: str, method: str, path: str, *, query: Mapping[str, str] = {}, body: Any = None
) -> tuple[int, bytes]:
    """Status and whole body. Raises RuntimeUnavailable when the service does not answer as HTTP asks."""
    async with _sent(socket_path, method, path, query, body, upgrade=False) as (connection, stream):
        status, data = 0, bytearray()
        while True:
            event = await _next_event(connection, stream)
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                data += event.data
                if len(data) > _ANSWER_BYTES_MAX:
                    raise RuntimeFailed(
                        f"{method} {path}: the answer of podman is longer than {_ANSWER_BYTES_MAX} bytes"
                    )
            elif isinstance(event, h11.EndOfMessage):
                return status, bytes(data)


def complaint(data: bytes) -> str:
    """Podman's own words out of an error body."""
    try:
        return str(msgspec.json.decode(data, type=dict[str, Any]).get("message") or data.decode(errors="replace"))
    except (msgspec.DecodeError, msgspec.ValidationError):
        return data.decode(errors="replace").strip()


class PodmanExec:
    """One command inside a running container (``ExecSession``)."""

    def __init__(self, socket_path: str, session_id: str, stream: trio.SocketStream, early: bytes, tty: bool) -> None:
        self._socket_path = socket_path
        self.id = session_id
        self._stream = stream
        self._tty = tty
        self._frames = Frames()
        self._ready: list[tuple[str, bytes]] = []
        self._early = early

    async def send(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            return  # the command has ended; its output and exit code tell the rest

    async def send_eof(self) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await self._stream.send_eof()

    async def resize(self, columns: int, rows: int) -> None:
        """Right after the start Podman may not know the session's terminal yet: tried a few times, then let go."""
        for _ in range(_RESIZE_TRIES):
            query = {"w": str(columns), "h": str(rows)}
            status, _ = await request(self._socket_path, "POST", f"/exec/{self.id}/resize", query=query)
            if status < 400:
                return
            await trio.sleep(_EXIT_POLL_SECONDS)

    async def receive(self) -> tuple[str, bytes] | None:
        while not self._ready:
            data, self._early = self._early, b""
            if not data:
                try:
                    data = await self._stream.receive_some(_READ_BYTES)
                except trio.BrokenResourceError:
                    data = b""
            if not data:
                return None
            self._ready = [("stdout", data)] if self._tty else self._frames.feed(data)
        return self._ready.pop(0)

    async def exit_code(self) -> int:
        """Call after ``receive`` gave None."""
        with trio.move_on_after(_EXIT_WAIT_SECONDS):
            while True:
                found = await self.inspect()
                if not found.get("Running"):
                    return int(found.get("ExitCode") or 0)
                await trio.sleep(_EXIT_POLL_SECONDS)
        raise DeadlineExceeded("the command closed its output but did not end")

    async def inspect(self) -> dict[str, Any]:
        status, data = await request(self._socket_path, "GET", f"/exec/{self.id}/json")
        if status == 404:
            raise ContainerNotFound(f"the exec session is gone: {complaint(data)}")
        if status >= 400:
            raise RuntimeFailed(complaint(data))
        return msgspec.json.decode(data, type=dict[str, Any])


@contextlib.asynccontextmanager
async def open_exec(socket_path: str, container_id: str, spec: ExecSpec) -> AsyncIterator[PodmanExec]:
    """Starts the command. Raises ContainerNotFound, RuntimeFailed (not running, no such command)."""
    body = {
        "AttachStdin": spec.stdin,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": spec.tty,
        "Cmd": list(spec.command),
        "Env": ["TERM=xterm"] if spec.tty else [],
    }
    status, data = await request(socket_path, "POST", f"/containers/{container_id}/exec", body=body)
    if status == 404:
        raise ContainerNotFound(complaint(data))
    if status >= 400:
        raise RuntimeFailed(complaint(data))
    session_id = str(msgspec.json.decode(data, type=dict[str, Any])["Id"])
    start = {"Detach": False, "Tty": spec.tty}
    async with _sent(socket_path, "POST", f"/exec/{session_id}/start", {}, start, upgrade=True) as (connection, stream):
        event = await _next_event(connection, stream)
        if isinstance(event, h11.Response) and event.status_code not in (101, 200):
            rest = await _next_event(connection, stream)
            raise RuntimeFailed(complaint(bytes(rest.data) if isinstance(rest, h11.Data) else b"exec failed"))
        early, _ = connection.trailing_data
        yield PodmanExec(socket_path, session_id, stream, early, spec.tty)


class Frames:
    """Takes the 8-byte heads out of the output of a command without a terminal."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._channel = "stdout"
        self._left = 0

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        self._buffer += data
        pieces: list[tuple[str, bytes]] = []
        while self._buffer:
            if self._left:
                piece = bytes(self._buffer[: self._left])
                del self._buffer[: self._left]
                self._left -= len(piece)
                pieces.append((self._channel, piece))
            elif len(self._buffer) >= 8:
                channel, self._left = struct.unpack(">BxxxI", self._buffer[:8])
                del self._buffer[:8]
                self._channel = _CHANNELS.get(channel, "stderr")
            else:
                break
        return pieces


@contextlib.asynccontextmanager
async def _sent(
    socket_path: str, method: str, path: str, query: Mapping[str, str], body: Any, *, upgrade: bool
) -> AsyncIterator[tuple[h11.Connection, trio.SocketStream]]:
    try:
        stream = await trio.open_unix_socket(socket_path)
    except OSError as error:
        raise RuntimeUnavailable(f"podman does not answer at {socket_path}: {error}") from error
    async with stream:
        connection = h11.Connection(h11.CLIENT)
        data = msgspec.json.encode(body) if body is not None else b""
        headers = [("Host", "podman"), ("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
        headers += [("Connection", "Upgrade"), ("Upgrade", "tcp")] if upgrade else [("Connection", "close")]
        target = f"{API_PREFIX}{path}" + (f"?{urlencode(query)}" if query else "")
        parts = [connection.send(h11.Request(method=method, target=target, headers=headers))]
        parts += [connection.send(h11.Data(data=data)), connection.send(h11.EndOfMessage())]
        try:
            await stream.send_all(b"".join(part for part in parts if part))
        except trio.BrokenResourceError as error:
            raise RuntimeUnavailable(f"podman closed the connection at {socket_path}") from error
        yield connection, stream


async def _next_event(connection: h11.Connection, stream: trio.SocketStream) -> Any:
    try:
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(_READ_BYTES))
    except (h11.RemoteProtocolError, trio.BrokenResourceError) as error:
        raise RuntimeUnavailable(f"podman broke off its answer: {error}") from error
    return event
