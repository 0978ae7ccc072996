"""The files of pods and of the agent on the disk of the host. Blocking; the shell runs it in threads.

    STATE/NAME                    the agent's own files
    STATE/pods/UID/VOLUME/        volumes; STATE/pods/UID/files/ what belongs to the pod as a whole
    RUN/UID/VOLUME/               on a tmpfs: Secrets

Volumes made of files follow Kubernetes' layout: each set lives in a folder of its own, ``..data`` points at the
newest, and the visible names point through it, so that one rename changes all files at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from orchestr8.worker.agent.node.host import VolumeFailed, VolumeFile

MEMORY_TMPFS_BYTES = 64 * 1024 * 1024  # of all Secrets on this node; the kernel's own bound is half the RAM
_DATA = "..data"
_KINDS = {"": None, "Directory": "is_dir", "File": "is_file", "Socket": "is_socket"}


class Files:
    def __init__(self, state: Path, memory: Path) -> None:
        self._state = state
        self._pods = state / "pods"
        self._memory = memory

    def prepare(self) -> None:
        for folder in (self._state, self._pods, self._memory):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _is_tmpfs(self._memory):
            _mount_tmpfs(self._memory, MEMORY_TMPFS_BYTES)

    # -- the agent's own --------------------------------------------------------------------------------------

    def load(self, name: str) -> bytes | None:
        try:
            return (self._state / name).read_bytes()
        except FileNotFoundError:
            return None

    def save(self, name: str, data: bytes) -> None:
        _replace(self._state / name, data, 0o600, sync=True)

    # -- volumes ----------------------------------------------------------------------------------------------

    def empty_dir(self, pod_uid: str, volume: str, in_memory: bool, size_bytes: int) -> str:
        folder = self._pods / pod_uid / f"volume-{volume}"
        folder.mkdir(parents=True, exist_ok=True)
        if in_memory and not os.path.ismount(folder):
            _mount_tmpfs(folder, size_bytes)
        folder.chmod(0o777)
        return str(folder)

    def host_path(self, path: str, kind: str) -> None:
        here = Path(path)
        if kind == "DirectoryOrCreate":
            here.mkdir(parents=True, exist_ok=True, mode=0o755)
        elif kind == "FileOrCreate":
            here.touch(mode=0o644)
        elif kind in ("CharDevice", "BlockDevice"):
            if not (here.is_char_device() if kind == "CharDevice" else here.is_block_device()):
                raise VolumeFailed(f"hostPath {path} is not a {kind}")
        elif kind not in _KINDS:
            raise VolumeFailed(f"hostPath type {kind!r} is unknown")
        elif not here.exists():
            if kind:
                raise VolumeFailed(f"hostPath type check failed: {path} does not exist")
            here.mkdir(parents=True, exist_ok=True)
        elif (check := _KINDS[kind]) is not None and not getattr(here, check)():
            raise VolumeFailed(f"hostPath type check failed: {path} is not a {kind}")

    def write_files(self, pod_uid: str, volume: str, files: Mapping[str, VolumeFile], in_memory: bool) -> str:
        folder = (self._memory if in_memory else self._pods) / pod_uid / f"volume-{volume}"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"..{_digest(files)}"
        if not (folder / name).is_dir():
            fresh = folder / f"{name}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            for path, file in files.items():
                target = fresh / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.data)
                target.chmod(file.mode)
            fresh.mkdir(exist_ok=True)
            fresh.rename(folder / name)
        _point(folder / _DATA, name)
        self._show(folder, {PurePosixPath(path).parts[0] for path in files})
        for old in folder.iterdir():
            if old.name.startswith("..") and old.name not in (_DATA, name):
                shutil.rmtree(old, ignore_errors=True)
        return str(folder)

    def sub_path(self, folder: str, path: str) -> str:
        root = Path(folder).resolve()
        target = (root / path).resolve()
        if not target.is_relative_to(root):
            raise VolumeFailed(f"subPath {path!r} leads out of its volume")
        if not target.exists():
            target.mkdir(parents=True, exist_ok=True)
        return str(target)

    def write_pod_file(self, pod_uid: str, name: str, data: bytes) -> str:
        """Written in place: the file is mounted into containers by its inode."""
        path = self._pods / pod_uid / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != data:
            path.write_bytes(data)
            path.chmod(0o644)
        return str(path)

    def remove_pod(self, pod_uid: str) -> None:
        for root in (self._pods, self._memory):
            folder = root / pod_uid
            for mounted in _mounts_below(folder):
                _run(["umount", "--lazy", mounted])
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(folder)

    def pods_with_files(self) -> frozenset[str]:
        return frozenset(entry.name for root in (self._pods, self._memory) for entry in root.iterdir())

    @staticmethod
    def _show(folder: Path, names: set[str]) -> None:
        for name in names:
            _point(folder / name, f"{_DATA}/{name}")
        for entry in folder.iterdir():
            if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in names:
                entry.unlink()


def _replace(path: Path, data: bytes, mode: int, *, sync: bool) -> None:
    fresh = path.with_name(f"{path.name}.new")
    with open(fresh, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())
    fresh.replace(path)
    if sync:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _point(link: Path, target: str) -> None:
    """Makes or moves a symlink in one step."""
    if link.is_symlink() and str(link.readlink()) == target:
        return
    fresh = link.with_name(f"{link.name}.new-link")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def _digest(files: Mapping[str, VolumeFile]) -> str:
    digest = hashlib.sha256()
    for path, file in sorted(files.items()):
        digest.update(f"{path}\0{file.mode}\0{len(file.data)}\0".encode())
        digest.update(file.data)
    return digest.hexdigest()[:16]


def _mount_tmpfs(folder: Path, size_bytes: int) -> None:
    options = ["nosuid,nodev,mode=0755"] + ([f"size={size_bytes}"] if size_bytes else [])
    _run(["mount", "-t", "tmpfs", "-o", ",".join(options), "orchestr8", str(folder)])


def _is_tmpfs(folder: Path) -> bool:
    """By the mount that covers the folder, the longest one above it."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    kinds = {mount[1]: mount[2] for mount in mounts}
    above = (str(path) for path in (folder.resolve(), *folder.resolve().parents))
    return next(kinds[path] for path in above if path in kinds) == "tmpfs"


def _mounts_below(folder: Path) -> Iterator[str]:
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return (point for point in reversed(points) if point.startswith(f"{folder}/"))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise VolumeFailed(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
