"""The verbs with which the log's files are touched: one real disk here, one with faults in tests/simulation/raft.

The promise of each verb is about a power cut: when ``append`` has returned, the bytes are there; ``replace`` leaves the
old file or the whole new one, never a part. A file whose name ends in ``.new`` is unfinished and may be deleted.
Two threads of our own: ``append`` must not wait behind the writing of a snapshot, and a thread taken from a pool for
each write costs a single writer more than its fdatasync.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import outcome
import trio

UNFINISHED = ".new"
T = TypeVar("T")


class Disk(Protocol):
    """One folder. Every verb raises OSError as the system does, and SyncFailed when fsync itself failed."""

    async def names(self) -> list[str]:
        """What is in the folder, sorted."""
        ...

    async def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        """At most ``size`` bytes from ``offset``; to the end without ``size``."""
        ...

    async def append(self, name: str, offset: int, data: bytes) -> None:
        """Write at ``offset`` and make it safe. After an OSError that is not SyncFailed (no space) the same bytes, and
        more, may be written at the same place again."""
        ...

    async def truncate(self, name: str, size: int) -> None:
        """Cut the file to ``size`` bytes and make that safe."""
        ...

    async def replace(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write a whole file beside the old one, make it safe, then put it in place. ``chunks`` is read in a thread."""
        ...

    async def write(self, name: str, offset: int, data: bytes) -> None:
        """Write a piece of an unfinished file; ``rename`` makes it safe."""
        ...

    async def rename(self, old: str, new: str) -> None:
        """Make ``old`` safe and put it in place as ``new``."""
        ...

    async def remove(self, name: str) -> None:
        """Delete; a missing file is fine."""
        ...


class SyncFailed(OSError):
    """fsync said no. The kernel may have dropped the pages: trying again would lie, so the process must end."""


class FolderDisk:
    """``folder`` is made with mode 0700 if it is missing; files are 0600. Use as an async context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: tuple[str, int] | None = None  # the file that append writes to
        self._lanes = {"append": _Lane("raft-journal"), "bulk": _Lane("raft-files")}

    async def __aenter__(self) -> FolderDisk:
        for lane in self._lanes.values():
            lane.start()
        await self._lanes["bulk"].run(lambda: self._folder.mkdir(mode=0o700, parents=True, exist_ok=True))
        return self

    async def __aexit__(self, *_: object) -> None:
        with trio.CancelScope(shield=True):  # a write in flight ends in milliseconds; a lost thread would end never
            await self._lanes["append"].run(self._close)
            for lane in self._lanes.values():
                lane.stop()

    async def names(self) -> list[str]:
        return await self._lanes["bulk"].run(lambda: sorted(path.name for path in self._folder.iterdir()))

    async def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        def work() -> bytes:
            with (self._folder / name).open("rb") as file:
                file.seek(offset)
                return file.read(-1 if size is None else size)

        return await self._lanes["bulk"].run(work)

    async def append(self, name: str, offset: int, data: bytes) -> None:
        await self._lanes["append"].run(lambda: self._append(name, offset, data))

    async def truncate(self, name: str, size: int) -> None:
        def work() -> None:
            with (self._folder / name).open("r+b") as file:
                file.truncate(size)
                _sync(os.fsync, file.fileno())

        await self._lanes["bulk"].run(work)

    async def replace(self, name: str, chunks: Iterable[bytes]) -> None:
        def work() -> None:
            new = self._folder / (name + UNFINISHED)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                _sync(os.fsync, file.fileno())
            new.rename(self._folder / name)
            self._sync_folder()

        await self._lanes["bulk"].run(work)

    async def write(self, name: str, offset: int, data: bytes) -> None:
        def work() -> None:
            descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                _write(descriptor, offset, data)
            finally:
                os.close(descriptor)

        await self._lanes["bulk"].run(work)

    async def rename(self, old: str, new: str) -> None:
        def work() -> None:
            with (self._folder / old).open("rb") as file:
                _sync(os.fsync, file.fileno())
            (self._folder / old).rename(self._folder / new)
            self._sync_folder()

        await self._lanes["bulk"].run(work)

    async def remove(self, name: str) -> None:
        await self._lanes["bulk"].run(lambda: (self._folder / name).unlink(missing_ok=True))

    # -- in the threads ----------------------------------------------------------------------------------
    def _append(self, name: str, offset: int, data: bytes) -> None:
        if self._open is None or self._open[0] != name:
            self._close()
            self._open = (name, os.open(self._folder / name, os.O_WRONLY | os.O_CREAT, 0o600))
        descriptor = self._open[1]
        _write(descriptor, offset, data)
        _sync(os.fdatasync, descriptor)

    def _close(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _sync(os.fsync, descriptor)
        finally:
            os.close(descriptor)


def _write(descriptor: int, offset: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        offset, rest = offset + written, rest[written:]


def _sync(verb: Callable[[int], None], descriptor: int) -> None:
    try:
        verb(descriptor)
    except OSError as error:
        raise SyncFailed(
            error.errno, f"{verb.__name__} failed: {error.strerror}; the disk can no longer be trusted"
        ) from error


class _Lane:
    """A thread that does one thing after another. Work that was begun is never cut short by a cancel."""

    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._work.put(None)
        self._thread.join()

    async def run(self, work: Callable[[], T]) -> T:
        token = trio.lowlevel.current_trio_token()
        task = trio.lowlevel.current_task()

        def in_thread() -> None:
            result = outcome.capture(work)
            token.run_sync_soon(lambda: trio.lowlevel.reschedule(task, result))

        def refuse(_: Any) -> trio.lowlevel.Abort:
            return trio.lowlevel.Abort.FAILED

        self._work.put(in_thread)
        return await trio.lowlevel.wait_task_rescheduled(refuse)  # type: ignore[no-any-return]

    def _loop(self) -> None:
        while (work := self._work.get()) is not None:
            work()
