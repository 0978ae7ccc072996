"""What may be asked of the replicated state, and how it is written into a log entry.

A transaction is the only write: compares and writes, all or nothing. A claim makes one master the leader and gives
it a number; a transaction that carries an older number is refused by the state itself, so that a deposed leader's
work is harmless. One log entry is a batch: a msgpack array of commands, each tagged with its type.
Pure: bytes in, values out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from orchestr8.errors import BadRequest

ABSENT = 0  # Compare.revision: the key must not exist
PRESENT = -1  # Compare.revision: the key must exist, at any revision
REQUEST_ID_CHARS = 128


class Key(NamedTuple):
    """Identity of an object. ``kind`` as in Kubernetes (``Pod``); ``namespace`` is "" for cluster scope."""

    kind: str
    namespace: str
    name: str


class Compare(msgspec.Struct, frozen=True, array_like=True):
    """``revision``: ABSENT, PRESENT, or the revision of the key's last write."""

    key: Key
    revision: int


class Put(msgspec.Struct, frozen=True, array_like=True, tag="put"):
    """``data``: JSON of the whole object; its resourceVersion is left out and would be ignored."""

    key: Key
    data: bytes


class Delete(msgspec.Struct, frozen=True, array_like=True, tag="delete"):
    """Removes the key at once; NotFound if it is not there."""

    key: Key


class Txn(msgspec.Struct, frozen=True, array_like=True, tag="txn"):
    """``request_id``: unique per intent, kept on a retry; "" is never remembered. ``claim`` 0: not leader's work."""

    request_id: str
    compares: tuple[Compare, ...]
    writes: tuple[Put | Delete, ...]
    claim: int = 0


class Claim(msgspec.Struct, frozen=True, array_like=True, tag="claim"):
    """``master`` leads from here on; the result carries its claim number."""

    request_id: str
    master: str


class Result(msgspec.Struct, frozen=True, array_like=True):
    """``revision``: of the last write, or the state's if nothing was written. ``error``: "" or a code of errors.py."""

    revision: int
    error: str = ""
    message: str = ""
    claim: int = 0


Command = Txn | Claim

_encoder = msgspec.msgpack.Encoder()
_commands = msgspec.msgpack.Decoder(tuple[Command, ...])


def encode_batch(commands: Sequence[Command]) -> bytes:
    """One log entry. The caller keeps it within limits.LOG_ENTRY_BYTES."""
    return _encoder.encode(commands)


def encoded_bytes(command: Command) -> int:
    """What ``command`` adds to a log entry, in bytes; for filling batches."""
    return len(_encoder.encode(command))


def decode_batch(entry: bytes) -> tuple[Command, ...]:
    """The commands of an entry. Raises BadRequest for anything else than what ``encode_batch`` writes."""
    try:
        return _commands.decode(entry)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise BadRequest(f"log entry of {len(entry)} bytes is not a batch of commands: {error}") from error
