"""A disk in memory that forgets on a power cut what was not made safe, and tears what was just being written."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from random import Random

import trio


class SimDisk:
    """Implements raft.disk.Disk. ``crash`` is the power cut; then the same object is the disk of the next start."""

    def __init__(self, random: Random, sync_seconds: tuple[float, float] = (0.0005, 0.004)) -> None:
        self.random = random
        self.sync_seconds = sync_seconds
        self.files: dict[str, bytes] = {}
        self.full = False
        self.appends = 0
        self._unsafe: dict[str, bytes] = {}  # written, not yet safe
        self._appending: tuple[str, int, bytes] | None = None

    def crash(self, *, tear: bool = True) -> None:
        """What was under way is gone, or there in part: a prefix, or a hole of zeros before its end."""
        self._unsafe.clear()
        if self._appending is None:
            return
        name, offset, data = self._appending
        self._appending = None
        if not tear:
            return
        kept = data[: self.random.randint(0, len(data))]
        if kept and self.random.random() < 0.3:
            hole = self.random.randrange(len(kept))
            kept = kept[:hole] + b"\0" * (len(kept) - hole)
        self.files[name] = self.files.get(name, b"")[:offset] + kept

    async def names(self) -> list[str]:
        await trio.lowlevel.checkpoint()
        return sorted(self.files.keys() | self._unsafe.keys())

    async def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        content = self._unsafe.get(name, self.files.get(name))
        if content is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", name)
        return content[offset:] if size is None else content[offset : offset + size]

    async def append(self, name: str, offset: int, data: bytes) -> None:
        self._check_room()
        self._appending = (name, offset, data)
        await self._sync()
        self._appending = None
        self.appends += 1
        self.files[name] = self.files.get(name, b"")[:offset] + data

    async def truncate(self, name: str, size: int) -> None:
        await self._sync()
        self.files[name] = self.files[name][:size]

    async def replace(self, name: str, chunks: Iterable[bytes]) -> None:
        self._check_room()
        content = b"".join(chunks)
        await self._sync()
        self.files[name] = content

    async def write(self, name: str, offset: int, data: bytes) -> None:
        self._check_room()
        await trio.lowlevel.checkpoint()
        self._unsafe[name] = self._unsafe.get(name, b"")[:offset] + data

    async def rename(self, old: str, new: str) -> None:
        await self._sync()
        self.files[new] = self._unsafe.pop(old) if old in self._unsafe else self.files.pop(old)

    async def remove(self, name: str) -> None:
        await trio.lowlevel.checkpoint()
        self.files.pop(name, None)
        self._unsafe.pop(name, None)

    async def _sync(self) -> None:
        await trio.sleep(self.random.uniform(*self.sync_seconds))

    def _check_room(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "no space left on device")
