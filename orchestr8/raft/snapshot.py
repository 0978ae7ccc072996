"""The snapshot file: what the log up to an index made, so that the log before it can go.

Form: magic, then blocks of length, CRC-32 and data: first the head (format, index, term, members), then the chunks of
State.dump, then an empty block as the end. Named after its index, written beside and renamed, so that a file under its
final name is whole: a bad one is damage (CorruptState), never an interrupted write. Pure; Disk does the writing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgpack

from orchestr8.errors import CorruptState

FORMAT = 1
PREFIX = "snapshot-"
_MAGIC = b"o8snap\r\n"
_BLOCK = struct.Struct("<II")  # length, crc32
_BROKEN = "remove this master's data and let it copy from the others, or restore a backup"


@dataclass(frozen=True, slots=True)
class Head:
    """``index`` and ``term`` of the last entry contained; ``members`` as they were then."""

    index: int
    term: int
    members: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.index:020d}"


def encode(head: Head, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The file in pieces, each made when it is asked for."""
    yield _MAGIC + _block(msgpack.packb([FORMAT, head.index, head.term, head.members]))
    for chunk in chunks:
        yield _block(chunk)
    yield _block(b"")


def decode(name: str, content: bytes) -> tuple[Head, Iterator[bytes]]:
    """The head, and the chunks for State.load, checked one by one. Raises CorruptState."""
    blocks = _blocks(name, content)
    try:
        form, index, term, members = msgpack.unpackb(next(blocks))
        head = Head(int(index), int(term), tuple(map(str, members)))
    except (ValueError, TypeError, StopIteration, msgpack.UnpackException) as error:
        raise CorruptState(f"the head of {name} cannot be read: {_BROKEN}") from error
    if form != FORMAT:
        raise CorruptState(f"{name} has format {form}, this version reads {FORMAT}: use its version")
    return head, blocks


def newest(names: Sequence[str]) -> str | None:
    return max((name for name in names if name.startswith(PREFIX)), default=None)


def _block(data: bytes) -> bytes:
    return _BLOCK.pack(len(data), zlib.crc32(data)) + data


def _blocks(name: str, content: bytes) -> Iterator[bytes]:
    view = memoryview(content)
    if bytes(view[: len(_MAGIC)]) != _MAGIC:
        raise CorruptState(f"{name} is no snapshot: {_BROKEN}")
    offset = len(_MAGIC)
    while offset + _BLOCK.size <= len(view):
        length, checksum = _BLOCK.unpack_from(view, offset)
        offset += _BLOCK.size
        data = bytes(view[offset : offset + length])
        if len(data) != length or zlib.crc32(data) != checksum:
            raise CorruptState(f"{name} is damaged at byte {offset}: {_BROKEN}")
        offset += length
        if not length:
            if offset != len(view):
                raise CorruptState(f"{name} goes on after its end: {_BROKEN}")
            return
        yield data
    raise CorruptState(f"{name} ends at byte {offset} without its last block: {_BROKEN}")
