"""The host in memory, for simulation and for tests of the agent. It outlives the agent, as a disk does."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import trio

from orchestr8.worker.agent.node.host import Facts, HttpRequest, Pressure, ProbeFailed, VolumeFile

GIB = 1024**3


class FakeHost:
    """``http``: answers probes with a status, or raises ProbeFailed; ``files``: (pod uid, volume) -> files."""

    def __init__(self, *, boot_id: str = "boot-1", cpu_count: int = 4, memory_bytes: int = 8 * GIB) -> None:
        self.boot_id = boot_id
        self.saved: dict[str, bytes] = {}
        self.files: dict[tuple[str, str], Mapping[str, VolumeFile]] = {}
        self.http: Callable[[HttpRequest], int] = lambda request: 200
        self._cpu_count = cpu_count
        self._memory_bytes = memory_bytes

    async def facts(self) -> Facts:
        await trio.lowlevel.checkpoint()
        return Facts(
            boot_id=self.boot_id,
            machine_id="machine",
            hostname="host",
            cpu_count=self._cpu_count,
            memory_bytes=self._memory_bytes,
            storage_bytes=100 * GIB,
            architecture="amd64",
            kernel_version="6.12",
            os_image="Fake Linux",
        )

    async def pressure(self) -> Pressure:
        await trio.lowlevel.checkpoint()
        return Pressure(
            memory_available_bytes=self._memory_bytes // 2,
            storage_available_bytes=50 * GIB,
            storage_bytes=100 * GIB,
            pids_available=30_000,
        )

    async def resolv_conf(self) -> str:
        await trio.lowlevel.checkpoint()
        return "nameserver 192.0.2.53\n"

    async def load(self, name: str) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return self.saved.get(name)

    async def save(self, name: str, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.saved[name] = data

    async def empty_dir(self, pod_uid: str, volume: str, in_memory: bool, size_bytes: int) -> str:
        await trio.lowlevel.checkpoint()
        self.files.setdefault((pod_uid, volume), {})
        return f"/fake/{pod_uid}/{volume}"

    async def host_path(self, path: str, kind: str) -> None:
        await trio.lowlevel.checkpoint()

    async def write_files(self, pod_uid: str, volume: str, files: Mapping[str, VolumeFile], in_memory: bool) -> str:
        await trio.lowlevel.checkpoint()
        self.files[(pod_uid, volume)] = dict(files)
        return f"/fake/{pod_uid}/{volume}"

    async def write_pod_file(self, pod_uid: str, name: str, data: bytes) -> str:
        await trio.lowlevel.checkpoint()
        self.files[(pod_uid, name)] = {name: VolumeFile(data, 0o644)}
        return f"/fake/{pod_uid}/{name}"

    async def sub_path(self, folder: str, path: str) -> str:
        await trio.lowlevel.checkpoint()
        return f"{folder}/{path}"

    async def remove_pod(self, pod_uid: str) -> None:
        await trio.lowlevel.checkpoint()
        self.files = {key: value for key, value in self.files.items() if key[0] != pod_uid}

    async def pods_with_files(self) -> frozenset[str]:
        await trio.lowlevel.checkpoint()
        return frozenset(uid for uid, _ in self.files)

    async def http_get(self, request: HttpRequest) -> tuple[int, str]:
        await trio.sleep(0.002)
        return self.http(request), ""

    async def tcp_connect(self, host: str, port: int) -> None:
        await trio.sleep(0.002)
        status = self.http(HttpRequest(scheme="tcp", host=host, port=port, path=""))
        if status != 200:
            raise ProbeFailed(f"dial tcp {host}:{port}: connection refused")
