"""The verbs of the host, as the agent needs them: facts, files, and talking to a pod's ports.

``linux.py`` serves them for real, ``fake.py`` in simulation. Files of a pod live until ``remove_pod``. A set of files
is replaced as a whole: a reader in a container sees the old set or the new one, never a mixture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from orchestr8.errors import Orchestr8Error


class VolumeFailed(Orchestr8Error):
    """A volume cannot be made ready; ``message`` is fit for an event."""

    code = "VolumeFailed"


class ProbeFailed(Orchestr8Error):
    """A port does not answer as it should; ``message`` says how."""

    code = "ProbeFailed"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What stays the same until the next boot. ``architecture`` in Kubernetes' words (amd64)."""

    boot_id: str
    machine_id: str
    hostname: str
    cpu_count: int
    memory_bytes: int
    storage_bytes: int
    architecture: str
    kernel_version: str
    os_image: str


class Pressure(msgspec.Struct, frozen=True, kw_only=True):
    """What is left at this moment."""

    memory_available_bytes: int
    storage_available_bytes: int
    storage_bytes: int
    pids_available: int


class VolumeFile(msgspec.Struct, frozen=True):
    data: bytes
    mode: int


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``host`` is where to connect; a ``Host`` among ``headers`` is sent instead of it."""

    scheme: str
    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...] = ()


class Host(Protocol):
    async def facts(self) -> Facts: ...
    async def pressure(self) -> Pressure: ...

    async def resolv_conf(self) -> str:
        """The text of the node's own resolv.conf; empty when there is none."""
        ...

    async def load(self, name: str) -> bytes | None:
        """A small file of the agent's own; None when it was never saved. Survives a reboot."""
        ...

    async def save(self, name: str, data: bytes) -> None:
        """Replaced as a whole, on the disk when this returns, readable by root alone. Raises VolumeFailed."""
        ...

    async def empty_dir(self, pod_uid: str, volume: str, in_memory: bool, size_bytes: int) -> str:
        """The path of a folder that is made once and kept. ``size_bytes`` 0: no limit. Raises VolumeFailed."""
        ...

    async def host_path(self, path: str, kind: str) -> None:
        """Checks, or makes, what a hostPath volume of Kubernetes' type ``kind`` asks for. Raises VolumeFailed."""
        ...

    async def write_files(self, pod_uid: str, volume: str, files: Mapping[str, VolumeFile], in_memory: bool) -> str:
        """The path of a folder that holds exactly ``files`` (relative path -> file). Raises VolumeFailed."""
        ...

    async def write_pod_file(self, pod_uid: str, name: str, data: bytes) -> str:
        """The path of a single file of the pod, such as its hosts file."""
        ...

    async def sub_path(self, folder: str, path: str) -> str:
        """The real path of ``path`` inside a volume's ``folder``, made as a folder if it is not there.

        Raises VolumeFailed when it leads out of the volume, by a symlink that a container made, for instance.
        """
        ...

    async def remove_pod(self, pod_uid: str) -> None:
        """Removes all files of the pod; none: success. Raises VolumeFailed."""
        ...

    async def pods_with_files(self) -> frozenset[str]: ...

    async def http_get(self, request: HttpRequest) -> tuple[int, str]:
        """Status and the start of the body. Raises ProbeFailed."""
        ...

    async def tcp_connect(self, host: str, port: int) -> None:
        """Raises ProbeFailed unless somebody accepts."""
        ...
