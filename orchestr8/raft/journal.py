"""The log on disk and in memory: what pysyncobj appends is remembered here and becomes bytes, block by block.

A segment file is a row of blocks, a block is what one fdatasync made safe: magic, its own offset, length, CRC-32, then
msgpack records. The next block is written only after the one before is safe. Hence the rule of recovery: a bad block at
the very end is a write that a power cut interrupted and was never acknowledged: cut it. A bad block with a good one
after it is damage to what was safe: CorruptState. Pure: files come in and go out as bytes (recover, take_block).

Records: entry | cut from index | term and vote | restart at (index, term) after a snapshot. Each segment opens with a
head that repeats where the log stands, so that whole old segments can be deleted; nothing is ever rewritten in place.
The first entry in memory is the base: index and term of the last entry before the log, its command is not kept.
"""

from __future__ import annotations

import enum
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from orchestr8 import limits
from orchestr8.errors import CorruptState

FORMAT = 1
PREFIX = "wal-"
_MAGIC = b"\xa8o8J"
_BLOCK = struct.Struct("<4sQII")  # magic, offset of this block in its file, length of the payload, crc32
_PLACE = struct.Struct("<QI")  # offset and length are under the checksum, too
_UNKNOWN_TERM = -1  # of a base, until restart_at gives it a new one
_BROKEN = "replace this master, or restore a backup"
_BASE_COMMAND = b"\1"  # pysyncobj's no-op


class Sort(enum.IntEnum):
    HEAD = 0
    ENTRY = 1
    CUT = 2
    VOTE = 3
    RESTART = 4


Entry = tuple[bytes, int, int]  # command, index, term: the order is pysyncobj's


def segment_name(number: int) -> str:
    return f"{PREFIX}{number:016d}"


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes to be made safe before anything that rests on them leaves. ``position``: records safe once it is."""

    segment: str
    offset: int
    data: bytes
    position: int


class Journal:
    """pysyncobj's journal interface over a list, plus the blocks that make it durable."""

    def __init__(self) -> None:
        self.term = 0
        self.vote: str | None = None
        self.position = 0  # records ever added; a message that rests on the log may leave at durable_position >= it
        self.durable_position = 0
        self.durable_index = 1
        self.bytes_in_memory = 0
        self.segment = 0  # 0: there is no file yet
        self.offset = 0
        self._closed: list[tuple[int, int]] = []  # older segments: number, the log's last index at their end
        self._log: list[Entry] = [(_BASE_COMMAND, 1, 0)]
        self._pending: list[bytes] = []
        self._taken: Block | None = None
        self._taken_end = 1
        self._taken_head = self._safe_head = self._head_now()

    # -- what pysyncobj calls ------------------------------------------------------------------------------
    def add(self, command: bytes, idx: int, term: int) -> None:
        if idx != self._log[-1][1] + 1:
            raise CorruptState(f"entry {idx} does not follow entry {self._log[-1][1]} of the log")
        self._log.append((command, idx, term))
        self.bytes_in_memory += len(command)
        self._record(Sort.ENTRY, idx, term, command)

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        """A new leader overrules entries that were never committed. ``entryFrom`` counts from the base."""
        if entryFrom < 1:
            raise CorruptState("the log would be cut below its base")
        index = self._log[entryFrom][1] if entryFrom < len(self._log) else self._log[-1][1] + 1
        self.bytes_in_memory -= sum(len(entry[0]) for entry in self._log[entryFrom:])
        del self._log[entryFrom:]
        self.durable_index = min(self.durable_index, index - 1)
        self._taken_end = min(self._taken_end, index - 1)
        self._record(Sort.CUT, index)

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:
        if (term, votedForNodeId) == (self.term, self.vote):
            return
        self.term, self.vote = term, votedForNodeId
        self._record(Sort.VOTE, term, votedForNodeId)

    def __getitem__(self, item: Any) -> Any:
        return self._log[item]

    def __len__(self) -> int:
        return len(self._log)

    def getCurrentTerm(self) -> int:
        return self.term

    def getVotedForNodeId(self) -> str | None:
        return self.vote

    def getRaftCommitIndex(self) -> int:
        return self.base_index  # the rest is learned from a leader; a stored one could run ahead of a torn log

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        """Not kept, see getRaftCommitIndex."""

    def onOneSecondTimer(self) -> None:
        """Nothing waits for a timer."""

    def _destroy(self) -> None:
        """The files belong to the driver."""

    # -- what the replica asks ------------------------------------------------------------------------------
    @property
    def base_index(self) -> int:
        return self._log[0][1]

    @property
    def last_index(self) -> int:
        return self._log[-1][1]

    @property
    def sound(self) -> bool:
        """The base is known. Otherwise the log is of use only with the snapshot that covers its beginning."""
        return self._log[0][2] != _UNKNOWN_TERM

    @property
    def pristine(self) -> bool:
        """Nothing was ever promised on this journal."""
        return self._head_now() == (1, 0, 0, None)

    def term_at(self, index: int) -> int | None:
        """The term of the entry at ``index``; None outside base..last."""
        place = index - self._log[0][1]
        return self._log[place][2] if 0 <= place < len(self._log) else None

    def restart_at(self, index: int, term: int) -> None:
        """The log starts anew after a snapshot that ends at (index, term). Entries that go on from there stay."""
        if self.term_at(index) == term:
            if self._log[0][2] == _UNKNOWN_TERM:
                self.forget_before(index)
            return
        self._log = [(_BASE_COMMAND, index, term)]
        self.bytes_in_memory = 0
        self.durable_index = self._taken_end = index  # the snapshot itself was safe first
        self._record(Sort.RESTART, index, term)

    def keep_from(self, index: int, entries: int, size_bytes: int) -> int:
        """Where to cut, given a snapshot that ends at ``index``: the last ``entries`` stay unless they are too long."""
        place = index - self.base_index
        lowest = max(0, place - entries)
        while place > lowest and size_bytes > 0:
            size_bytes -= len(self._log[place][0])
            place -= 1
        return self.base_index + place

    def forget_before(self, index: int) -> None:
        """Entries up to ``index`` are in a snapshot and nobody is served from them any more. Memory only."""
        place = index - self._log[0][1]
        if place > 0:
            self.bytes_in_memory -= sum(len(entry[0]) for entry in self._log[1 : place + 1])
            self._log = [(_BASE_COMMAND, index, self._log[place][2]), *self._log[place + 1 :]]

    # -- becoming durable -----------------------------------------------------------------------------------
    @property
    def dirty(self) -> bool:
        return self.position > self.durable_position

    @property
    def segment_is_full(self) -> bool:
        return self.segment == 0 or self.offset >= limits.JOURNAL_SEGMENT_BYTES

    def take_block(self) -> Block:
        """All records that are not safe yet, as one block. One at a time: the next after ``block_safe``, or the same
        and more, at the same place, if it could not be written."""
        self._taken_end, self._taken_head = self.last_index, self._head_now()
        data = _block(self.offset, b"".join(self._pending))
        self._taken = Block(segment_name(self.segment), self.offset, data, self.position)
        return self._taken

    def block_safe(self) -> None:
        block = self._taken
        assert block is not None
        self._taken = None
        del self._pending[: block.position - self.durable_position]
        self.offset += len(block.data)
        self.durable_position = block.position
        self.durable_index = self._taken_end
        self._safe_head = self._taken_head

    def next_segment(self) -> tuple[str, bytes]:
        """Name and first bytes of the segment after this one, to be put in place by Disk.replace.

        Its head tells where the *safe* part of the log stands: what is still pending goes into the new segment.
        """
        head = msgpack.packb([Sort.HEAD, FORMAT, self.segment + 1, *self._safe_head])
        return segment_name(self.segment + 1), _block(0, head)

    def segment_begun(self, size_bytes: int) -> None:
        if self.segment:
            self._closed.append((self.segment, self._safe_head[0]))
        self.segment, self.offset = self.segment + 1, size_bytes

    def take_obsolete(self) -> list[str]:
        """Segments that hold nothing above the base. Delete the oldest first: a crash in between leaves no hole."""
        gone = []
        while self._closed and self._closed[0][1] <= self.base_index:
            gone.append(segment_name(self._closed.pop(0)[0]))
        return gone

    # -- within ---------------------------------------------------------------------------------------------
    def _record(self, *values: object) -> None:
        self._pending.append(msgpack.packb(values))
        self.position += 1

    def _head_now(self) -> tuple[int, int, int, str | None]:
        return self.last_index, self._log[-1][2], self.term, self.vote

    def _replay_head(self, number: int, head: list[Any]) -> None:
        _, form, written_number, index, term, current_term, vote = head
        if form != FORMAT:
            raise CorruptState(
                f"{segment_name(number)} has format {form}, this version reads {FORMAT}: use its version"
            )
        if number != written_number:
            raise CorruptState(f"{segment_name(number)} was written as {segment_name(written_number)}")
        if self.segment == 0:
            self._log = [(_BASE_COMMAND, index, term)]
            self.term, self.vote = current_term, vote
        elif number != self.segment + 1 or self._head_now() != (index, term, current_term, vote):
            raise CorruptState(f"{segment_name(number)} does not go on where the segment before it ends: {_BROKEN}")
        if self.segment:
            self._closed.append((self.segment, self.last_index))
        self.segment = number

    def _replay(self, record: list[Any]) -> None:
        match record:
            case [Sort.ENTRY, int(index), int(term), bytes(command)]:
                if index != self.last_index + 1:
                    raise CorruptState(f"entry {index} follows entry {self.last_index} of the log: {_BROKEN}")
                self._log.append((command, index, term))
                self.bytes_in_memory += len(command)
            case [Sort.CUT, int(index)]:
                place = index - self.base_index
                self.bytes_in_memory -= sum(len(entry[0]) for entry in self._log[max(place, 1) :])
                if place < 1:
                    # The segment before was deleted because a snapshot covers it. It ended with entries that were
                    # overruled before that, so the log went on from an entry that is in no file any more.
                    self._log = [(_BASE_COMMAND, index - 1, _UNKNOWN_TERM)]
                else:
                    del self._log[place:]
            case [Sort.VOTE, int(term), vote]:
                self.term, self.vote = term, vote
            case [Sort.RESTART, int(index), int(term)]:
                self._log = [(_BASE_COMMAND, index, term)]
                self.bytes_in_memory = 0
            case _:
                raise CorruptState(f"{segment_name(self.segment)} holds a record of an unknown sort: {_BROKEN}")


@dataclass(frozen=True, slots=True)
class Recovered:
    """``torn``: the file and the size to cut it to before anything is appended; None if the end was clean."""

    journal: Journal
    torn: tuple[str, int] | None


def recover(files: Sequence[tuple[str, bytes]]) -> Recovered:
    """The journal that ``files`` (name, content; all segments, oldest first) hold. Raises CorruptState."""
    journal = Journal()
    torn = None
    for place, (name, content) in enumerate(files):
        payloads, good_bytes = _read_blocks(name, content)
        if good_bytes < len(content):
            if place < len(files) - 1 or not payloads:
                raise CorruptState(f"{name} is damaged at byte {good_bytes}: {_BROKEN}")
            torn = (name, good_bytes)
        if not payloads:
            raise CorruptState(f"{name} is empty: {_BROKEN}")
        journal._replay_head(int(name.removeprefix(PREFIX)), _unpack(name, payloads[0])[0])
        for payload in payloads[1:]:
            for record in _unpack(name, payload):
                journal._replay(record)
        journal.offset = good_bytes
    journal.durable_index = journal.last_index
    journal._safe_head = journal._head_now()
    return Recovered(journal, torn)


def _block(offset: int, payload: bytes) -> bytes:
    checksum = zlib.crc32(payload, zlib.crc32(_PLACE.pack(offset, len(payload))))
    return _BLOCK.pack(_MAGIC, offset, len(payload), checksum) + payload


def _read_block(content: bytes, offset: int) -> bytes | None:
    """The payload of the block at ``offset``; None if there is no whole and unharmed one."""
    if offset + _BLOCK.size > len(content):
        return None
    magic, place, length, checksum = _BLOCK.unpack_from(content, offset)
    payload = content[offset + _BLOCK.size : offset + _BLOCK.size + length]
    if magic != _MAGIC or place != offset or len(payload) != length:
        return None
    good = zlib.crc32(payload, zlib.crc32(_PLACE.pack(offset, length)))
    return payload if good == checksum else None


def _read_blocks(name: str, content: bytes) -> tuple[list[bytes], int]:
    payloads, offset = [], 0
    while (payload := _read_block(content, offset)) is not None:
        payloads.append(payload)
        offset += _BLOCK.size + len(payload)
    later = content.find(_MAGIC, offset + 1)
    while later >= 0:
        if _read_block(content, later) is not None:
            raise CorruptState(f"{name} is damaged at byte {offset}, before data that was safe at {later}: {_BROKEN}")
        later = content.find(_MAGIC, later + 1)
    return payloads, offset


def _unpack(name: str, payload: bytes) -> list[list[Any]]:
    unpacker = msgpack.Unpacker(max_buffer_size=0, raw=False)
    unpacker.feed(payload)
    try:
        return list(unpacker)
    except (ValueError, msgpack.UnpackException) as error:
        raise CorruptState(f"{name} holds a block that cannot be read ({error}): {_BROKEN}") from error
