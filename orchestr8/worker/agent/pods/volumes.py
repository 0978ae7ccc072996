"""What a pod's volumes need on the host, and where they appear in a container. Pure.

A volume is a folder of the host: empty and the pod's own, an existing path, or files made from a ConfigMap or Secret.
Secrets and ``medium: Memory`` never touch a disk. Source: Kubernetes, "Volumes", "ConfigMaps", "Secrets".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import msgspec

from orchestr8.api import quantity
from orchestr8.api.pod import Container, KeyToPath, Pod, Volume
from orchestr8.worker.agent.node.host import VolumeFailed, VolumeFile
from orchestr8.worker.agent.pods.environment import ConfigMissing, Lookup, expand

DEFAULT_FILE_MODE = 0o644


class EmptyDir(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    in_memory: bool
    size_bytes: int


class HostPath(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    path: str
    kind: str


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """``secret``: kept in memory, and gone with it."""

    name: str
    files: Mapping[str, VolumeFile]
    secret: bool


def plan(pod: Pod, lookup: Lookup) -> list[EmptyDir | HostPath | Files]:
    """One entry per volume. Raises ConfigMissing, or VolumeFailed for a kind that this version does not mount."""
    return [_volume(pod.metadata.namespace, volume, lookup) for volume in pod.spec.volumes]


def has_files(pod: Pod) -> bool:
    """Whether any volume follows a ConfigMap or Secret."""
    return any(map(_is_made, pod.spec.volumes))


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One mount of a container. ``sub_path`` is inside ``folder``; empty: the folder itself."""

    folder: str
    sub_path: str
    target: str
    read_only: bool


def mounts(pod: Pod, container: Container, paths: Mapping[str, str], environment: Mapping[str, str]) -> list[Wanted]:
    """``paths``: volume name -> folder on the host, as the plan's execution gave them. Raises VolumeFailed.

    What is made from a ConfigMap or Secret is read-only: its copy here is replaced when the object changes.
    """
    made = {volume.name for volume in pod.spec.volumes if _is_made(volume)}
    found = []
    for wanted in container.volume_mounts:
        source = paths.get(wanted.name)
        if source is None:
            raise VolumeFailed(f"container {container.name!r} mounts volume {wanted.name!r}, which the pod lacks")
        sub_path = wanted.sub_path or expand(wanted.sub_path_expr or "", environment)
        if sub_path:
            _inside(sub_path, f"subPath of volume {wanted.name!r}")
        read_only = bool(wanted.read_only) or wanted.name in made
        found.append(Wanted(folder=source, sub_path=sub_path, target=wanted.mount_path, read_only=read_only))
    return found


def _volume(namespace: str, volume: Volume, lookup: Lookup) -> EmptyDir | HostPath | Files:
    if volume.empty_dir is not None:
        size = quantity.memory_bytes(volume.empty_dir.size_limit) if volume.empty_dir.size_limit else 0
        return EmptyDir(name=volume.name, in_memory=volume.empty_dir.medium == "Memory", size_bytes=size)
    if volume.host_path is not None:
        return HostPath(name=volume.name, path=volume.host_path.path, kind=volume.host_path.type or "")
    if volume.config_map is not None:
        wanted = volume.config_map
        config_map = lookup.config_map(namespace, wanted.name or "")
        data: dict[str, bytes] = {}
        if config_map is not None:
            data = {key: text.encode() for key, text in config_map.data.items()} | config_map.binary_data
        elif not wanted.optional:
            raise ConfigMissing(f"configmap {wanted.name!r} not found")
        files = _files(volume.name, data, wanted.items, wanted.default_mode, bool(wanted.optional))
        return Files(name=volume.name, files=files, secret=False)
    if volume.secret is not None:
        asked = volume.secret
        secret = lookup.secret(namespace, asked.secret_name or "")
        if secret is None and not asked.optional:
            raise ConfigMissing(f"secret {asked.secret_name!r} not found")
        content = secret.data if secret is not None else {}
        files = _files(volume.name, content, asked.items, asked.default_mode, bool(asked.optional))
        return Files(name=volume.name, files=files, secret=True)
    if _is_bare(volume):  # as in Kubernetes: a volume without a source is an empty folder
        return EmptyDir(name=volume.name, in_memory=False, size_bytes=0)
    raise VolumeFailed(f"volume {volume.name!r}: only emptyDir, hostPath, configMap and secret are mounted so far")


def _files(
    volume: str, data: Mapping[str, bytes], items: Iterable[KeyToPath], default_mode: int | None, optional: bool
) -> dict[str, VolumeFile]:
    mode = DEFAULT_FILE_MODE if default_mode is None else default_mode
    chosen = tuple(items)
    if not chosen:
        return {key: VolumeFile(content, mode) for key, content in data.items()}
    files: dict[str, VolumeFile] = {}
    for item in chosen:
        if item.key in data:
            path = _inside(item.path, f"items of volume {volume!r}")
            files[path] = VolumeFile(data[item.key], mode if item.mode is None else item.mode)
        elif not optional:
            raise ConfigMissing(f"volume {volume!r} asks for key {item.key!r}, which is not there")
    return files


def _inside(path: str, what: str) -> str:
    if not path or path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise VolumeFailed(f"{what}: {path!r} must be a relative path without '..'")
    return path


def _is_made(volume: Volume) -> bool:
    return volume.config_map is not None or volume.secret is not None


def _is_bare(volume: Volume) -> bool:
    return all(getattr(volume, name) is None for name in volume.__struct_fields__ if name != "name")
