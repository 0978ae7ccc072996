"""The form of a snapshot: a head, objects, remembered requests and an end, each chunk small.

Packing everything in one call would hold the interpreter for 150 ms and more, during which no heartbeat leaves; so a
chunk carries at most 500 objects and about limits.SNAPSHOT_CHUNK_BYTES. Every chunk is a msgpack array that starts with
its sort. The end carries a checksum over all bytes before it; the head carries the state's digest, which proves that
what was decoded is what was dumped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from orchestr8 import limits
from orchestr8.errors import CorruptState, Orchestr8Error
from orchestr8.store.command import Key, Result
from orchestr8.store.stored import Decoded, Stored, restore

FORMAT = 1
OBJECTS_PER_CHUNK = 500
_BROKEN = "take a snapshot from another master, or restore a backup"


class Head(msgspec.Struct, frozen=True, array_like=True, tag="head"):
    revision: int
    claim: int
    leader: str
    digest: str
    format: int = FORMAT


class _Objects(msgspec.Struct, frozen=True, array_like=True, tag="objects"):
    objects: list[tuple[Key, int, bytes]]


class _Requests(msgspec.Struct, frozen=True, array_like=True, tag="requests"):
    requests: list[tuple[str, Result]]


class _End(msgspec.Struct, frozen=True, array_like=True, tag="end"):
    chunks: int
    checksum: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Head | _Objects | _Requests | _End] = msgspec.msgpack.Decoder(
    Head | _Objects | _Requests | _End
)


def write(head: Head, objects: Sequence[Stored], requests: Sequence[tuple[str, Result]]) -> Iterator[bytes]:
    """Chunks of a snapshot, made one at a time as they are asked for."""
    checksum = _checksum()
    count = 0
    for part in _parts(head, objects, requests):
        chunk = _encoder.encode(part)
        checksum.update(chunk)
        count += 1
        yield chunk
    yield _encoder.encode(_End(count, checksum.digest()))


def read(
    chunks: Iterable[bytes],
    decoded: Decoded,
    take: Callable[[Stored], None],
    remember: Callable[[str, Result], None],
) -> Head:
    """Gives every object to ``take`` and every remembered request to ``remember``. Raises CorruptState."""
    checksum = _checksum()
    head: Head | None = None
    count = 0
    end: _End | None = None
    for chunk in chunks:
        if end is not None:
            raise CorruptState(f"snapshot goes on after its end: {_BROKEN}")
        part = _decode(chunk, count)
        match part:
            case _End():
                end = part
                continue
            case Head() if head is None:
                head = part
                if head.format != FORMAT:
                    raise CorruptState(
                        f"snapshot has format {head.format}, this version reads {FORMAT}: use its version"
                    )
            case _Objects() if head is not None:
                for key, revision, json in part.objects:
                    take(_restore(key, json, revision, decoded))
            case _Requests() if head is not None:
                for request_id, result in part.requests:
                    remember(request_id, result)
            case _:
                raise CorruptState(f"snapshot chunk {count} is out of place: {_BROKEN}")
        checksum.update(chunk)
        count += 1
    if head is None or end is None:
        raise CorruptState(f"snapshot is cut short after {count} chunks: {_BROKEN}")
    if end.chunks != count or end.checksum != checksum.digest():
        raise CorruptState(f"snapshot fails its checksum: {_BROKEN}")
    return head


def verify(head: Head, digest: str) -> None:
    """Raises CorruptState when the state that was read is not the one that was dumped."""
    if head.digest != digest:
        raise CorruptState(f"snapshot of digest {head.digest} was read as {digest}: {_BROKEN}")


def _parts(head: Head, objects: Sequence[Stored], requests: Sequence[tuple[str, Result]]) -> Iterator[Any]:
    yield head
    batch: list[tuple[Key, int, bytes]] = []
    size = 0
    for stored in objects:
        if batch and (len(batch) == OBJECTS_PER_CHUNK or size + len(stored.json) > limits.SNAPSHOT_CHUNK_BYTES):
            yield _Objects(batch)
            batch, size = [], 0
        batch.append((stored.key, stored.revision, stored.json))
        size += len(stored.json)
    if batch:
        yield _Objects(batch)
    for start in range(0, len(requests), OBJECTS_PER_CHUNK):
        yield _Requests(list(requests[start : start + OBJECTS_PER_CHUNK]))


def _checksum() -> Any:
    return hashlib.blake2b(digest_size=16)


def _decode(chunk: bytes, number: int) -> Head | _Objects | _Requests | _End:
    try:
        return _decoder.decode(chunk)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise CorruptState(f"snapshot chunk {number} cannot be read ({error}): {_BROKEN}") from error


def _restore(key: Key, json: bytes, revision: int, decoded: Decoded) -> Stored:
    try:
        return restore(key, json, revision, decoded)
    except (Orchestr8Error, msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise CorruptState(
            f'snapshot holds {key.kind} "{key.name}", which cannot be read ({error}): {_BROKEN}'
        ) from error
