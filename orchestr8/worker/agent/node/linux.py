"""The real host: facts from /proc, files through files.py in threads, probes over TCP.

Values are read where Kubernetes' kubelet reads them: MemAvailable, the file system of the state folder, pid_max.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import h11
import trio

from orchestr8.worker.agent.node.files import Files
from orchestr8.worker.agent.node.host import Facts, HttpRequest, Pressure, ProbeFailed, VolumeFailed, VolumeFile

T = TypeVar("T")

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64", "ppc64le": "ppc64le"}
_BODY_BYTES_MAX = 10 * 1024
_THREADS = 4


class LinuxHost:
    """``Host`` on this machine; its files live below ``state``."""

    def __init__(self, state: Path, files: Files) -> None:
        self._state = state
        self._files = files
        self._limiter = trio.CapacityLimiter(_THREADS)

    async def facts(self) -> Facts:
        return await self._thread(_facts, self._state)

    async def pressure(self) -> Pressure:
        return await self._thread(_pressure, self._state)

    async def resolv_conf(self) -> str:
        return await self._thread(_text, "/etc/resolv.conf")

    async def load(self, name: str) -> bytes | None:
        return await self._thread(self._files.load, name)

    async def save(self, name: str, data: bytes) -> None:
        await self._volume(self._files.save, name, data)

    async def empty_dir(self, pod_uid: str, volume: str, in_memory: bool, size_bytes: int) -> str:
        return await self._volume(self._files.empty_dir, pod_uid, volume, in_memory, size_bytes)

    async def host_path(self, path: str, kind: str) -> None:
        await self._volume(self._files.host_path, path, kind)

    async def write_files(self, pod_uid: str, volume: str, files: Mapping[str, VolumeFile], in_memory: bool) -> str:
        return await self._volume(self._files.write_files, pod_uid, volume, files, in_memory)

    async def write_pod_file(self, pod_uid: str, name: str, data: bytes) -> str:
        return await self._volume(self._files.write_pod_file, pod_uid, name, data)

    async def sub_path(self, folder: str, path: str) -> str:
        return await self._volume(self._files.sub_path, folder, path)

    async def remove_pod(self, pod_uid: str) -> None:
        await self._volume(self._files.remove_pod, pod_uid)

    async def pods_with_files(self) -> frozenset[str]:
        return await self._thread(self._files.pods_with_files)

    async def tcp_connect(self, host: str, port: int) -> None:
        try:
            stream = await trio.open_tcp_stream(host, port)
        except OSError as error:
            raise ProbeFailed(f"dial tcp {host}:{port}: {_reason(error)}") from error
        await stream.aclose()

    async def http_get(self, request: HttpRequest) -> tuple[int, str]:
        try:
            stream: trio.abc.Stream = await trio.open_tcp_stream(request.host, request.port)
        except OSError as error:
            raise ProbeFailed(f"Get {_url(request)}: {_reason(error)}") from error
        if request.scheme == "https":
            context = ssl.create_default_context()
            context.check_hostname = False  # a probe asks whether it serves, not who it is; as in Kubernetes
            context.verify_mode = ssl.CERT_NONE
            stream = trio.SSLStream(stream, context, https_compatible=True)
        async with stream:
            try:
                return await _exchange(stream, request)
            except (trio.BrokenResourceError, h11.ProtocolError, ssl.SSLError) as error:
                raise ProbeFailed(f"Get {_url(request)}: {error or 'connection reset'}") from error

    async def _thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await trio.to_thread.run_sync(functools.partial(function, *arguments), limiter=self._limiter)

    async def _volume(self, function: Callable[..., T], *arguments: Any) -> T:
        try:
            return await self._thread(function, *arguments)
        except OSError as error:
            raise VolumeFailed(f"{error.strerror}: {error.filename}") from error


async def open_host(state: Path, run: Path) -> LinuxHost:
    """Makes the folders below both. Raises VolumeFailed when ``run`` is on a disk and no tmpfs can be mounted there."""
    files = Files(state, run / "volumes")
    await trio.to_thread.run_sync(files.prepare)
    return LinuxHost(state, files)


async def _exchange(stream: trio.abc.Stream, request: HttpRequest) -> tuple[int, str]:
    headers = {"Host": f"{request.host}:{request.port}", "User-Agent": "kube-probe/1.34", "Accept": "*/*"}
    headers |= {name.title(): value for name, value in request.headers} | {"Connection": "close"}
    connection = h11.Connection(h11.CLIENT)
    data = connection.send(h11.Request(method="GET", target=request.path, headers=list(headers.items())))
    await stream.send_all((data or b"") + (connection.send(h11.EndOfMessage()) or b""))
    status, body = 0, bytearray()
    while len(body) < _BODY_BYTES_MAX:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(16 * 1024)))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            break
    return status, body.decode(errors="replace")


def _facts(state: Path) -> Facts:
    release = dict(line.split("=", 1) for line in _text("/etc/os-release").splitlines() if "=" in line)
    return Facts(
        boot_id=_text("/proc/sys/kernel/random/boot_id").strip(),
        machine_id=_text("/etc/machine-id").strip(),
        hostname=socket.gethostname(),
        cpu_count=len(os.sched_getaffinity(0)),
        memory_bytes=_meminfo()["MemTotal"],
        storage_bytes=shutil.disk_usage(state).total,
        architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        kernel_version=platform.release(),
        os_image=release.get("PRETTY_NAME", "Linux").strip('"'),
    )


def _pressure(state: Path) -> Pressure:
    disk = shutil.disk_usage(state)
    processes = int(_text("/proc/loadavg").split()[3].partition("/")[2])
    return Pressure(
        memory_available_bytes=_meminfo()["MemAvailable"],
        storage_available_bytes=disk.free,
        storage_bytes=disk.total,
        pids_available=int(_text("/proc/sys/kernel/pid_max")) - processes,
    )


def _meminfo() -> dict[str, int]:
    lines = (line.split() for line in _text("/proc/meminfo").splitlines())
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines}


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except FileNotFoundError:
        return ""


def _reason(error: OSError) -> str:
    """trio wraps the failed attempts, one per address, in a group below its own error."""
    inner: BaseException | None = error.__cause__
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return error.strerror or (inner.strerror if isinstance(inner, OSError) else None) or str(error)


def _url(request: HttpRequest) -> str:
    return f"{request.scheme}://{request.host}:{request.port}{request.path}"
