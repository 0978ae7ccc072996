"""Reads the log file that conmon writes (format ``k8s-file``), without asking Podman.

A line is ``TIME STREAM F|P TEXT``; ``P`` marks a piece whose line goes on in the next entry of that stream. Above
its size limit conmon starts the file afresh: a follower notices the other inode, or the shorter file, and goes on at
its beginning.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import trio

from orchestr8.worker.runtime.base import LogOptions
from orchestr8.worker.runtime.translate import parse_time

_READ_BYTES = 64 * 1024
_POLL_SECONDS = 0.1
_ENTRY_BYTES_MAX = 64 * 1024  # conmon cuts lines at 8 KiB; anything longer is not one of its entries


async def read_log(
    path: str, options: LogOptions, wait_ended: Callable[[], Awaitable[None]]
) -> AsyncGenerator[bytes, None]:
    """Pieces of whole entries. ``wait_ended`` returns once nothing more will be written; used when following."""
    formatter = Formatter(options)
    ended = not options.follow
    tail = _Tail(Path(path))
    await trio.to_thread.run_sync(tail.open, options.tail_lines)
    try:
        while True:
            data = await trio.to_thread.run_sync(tail.read)
            if data:
                if piece := formatter.feed(data):
                    yield piece
                if formatter.full:
                    return
            elif ended:
                return
            else:
                with trio.move_on_after(_POLL_SECONDS):
                    await wait_ended()
                    ended = True
    finally:
        tail.close()


class Formatter:
    """Entries of conmon in, lines for the reader out; filters by time and counts against ``limit_bytes``."""

    def __init__(self, options: LogOptions) -> None:
        self._options = options
        self._rest = b""
        self._left = options.limit_bytes
        self._continues: dict[bytes, bool] = {}

    @property
    def full(self) -> bool:
        return self._left == 0

    def feed(self, data: bytes) -> bytes:
        *entries, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _ENTRY_BYTES_MAX:
            self._rest = b""
        out = b"".join(self._entry(entry) for entry in entries)
        if self._left is not None:
            out = out[: self._left]
            self._left -= len(out)
        return out

    def _entry(self, entry: bytes) -> bytes:
        parts = entry.split(b" ", 3)
        if len(parts) < 3 or parts[2] not in (b"F", b"P"):
            return b""
        stamp, stream, mark = parts[:3]
        text = parts[3] if len(parts) == 4 else b""
        starts_line = not self._continues.get(stream, False)
        self._continues[stream] = mark == b"P"
        if self._options.since is not None and _before(stamp, self._options.since):
            return b""
        prefix = stamp + b" " if self._options.timestamps and starts_line else b""
        return prefix + text + (b"" if mark == b"P" else b"\n")


def _before(stamp: bytes, since: dt.datetime) -> bool:
    try:
        moment = parse_time(stamp.decode())
    except ValueError:
        return False
    return moment is not None and moment < since


class _Tail:
    """The open file; all methods but ``close`` may block and run in a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def open(self, tail_lines: int | None) -> None:
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # conmon makes it with the first start
        if tail_lines is not None:
            os.lseek(self._descriptor, _tail_offset(self._descriptor, tail_lines), os.SEEK_SET)

    def read(self) -> bytes:
        if self._descriptor < 0:
            self.open(None)
            if self._descriptor < 0:
                return b""
        data = os.read(self._descriptor, _READ_BYTES)
        if not data and self._replaced():
            self.close()
            self.open(None)
            data = os.read(self._descriptor, _READ_BYTES) if self._descriptor >= 0 else b""
        return data

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _replaced(self) -> bool:
        here = os.fstat(self._descriptor)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return there.st_ino != here.st_ino or here.st_size < os.lseek(self._descriptor, 0, os.SEEK_CUR)


def _tail_offset(descriptor: int, tail_lines: int) -> int:
    """Where the last ``tail_lines`` lines start; an entry marked ``P`` is no line of its own. Reads back to front."""
    start = os.fstat(descriptor).st_size
    if tail_lines <= 0:
        return start
    found, cut = 0, b""  # the entry that reaches into the block before
    while start > 0:
        step = min(_READ_BYTES, start)
        start -= step
        data = os.pread(descriptor, step, start) + cut
        whole = data.find(b"\n") + 1 if start > 0 else 0
        cut, entries = data[:whole], data[whole:].split(b"\n")
        offset = start + len(data) - len(entries.pop())
        for entry in reversed(entries):
            parts = entry.split(b" ", 3)
            if len(parts) >= 3 and parts[2] == b"F":
                found += 1
                if found > tail_lines:
                    return offset
            offset -= len(entry) + 1
    return 0
