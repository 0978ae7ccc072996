"""The messages between masters: shape on arrival, cut to size on departure.

The names are pysyncobj's where it sends them; ours are pre_vote, pre_vote_answer, higher_term, read_probe and
read_probe_answer. A message of another type or shape ends the stream it came on: nothing here trusts a peer to be well
formed, and nothing after here checks again. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestr8 import limits
from orchestr8.errors import RemoteProtocolError

Message = dict[str, Any]

_FIELDS: dict[str, dict[str, type]] = {
    "append_entries": {"term": int, "commit_index": int},
    "next_node_idx": {"term": int, "next_node_idx": int, "reset": bool, "success": bool},
    "request_vote": {"term": int, "last_log_index": int, "last_log_term": int, "transfer": bool},
    "response_vote": {"term": int},
    "timeout_now": {"term": int},
    "pre_vote": {"term": int, "last_log_index": int, "last_log_term": int, "round": int},
    "pre_vote_answer": {"term": int, "round": int, "granted": bool},
    "higher_term": {"term": int},
    "read_probe": {"term": int, "number": int},
    "read_probe_answer": {"term": int, "number": int},
}
_ENTRIES_MAX = 4_096  # in one message; the wire bounds arrays
_LOG_FIELDS: dict[str, type] = {"prevLogIdx": int, "prevLogTerm": int, "entries": list}


def parse(value: object) -> Message:
    """A message with exactly the known fields. Raises RemoteProtocolError naming what is wrong."""
    if not isinstance(value, dict) or value.get("type") not in _FIELDS:
        raise RemoteProtocolError(f"raft: {str(value)[:80]!r} is no message that masters exchange")
    fields = _FIELDS[value["type"]]
    if value["type"] == "append_entries" and "prevLogIdx" in value:
        fields = fields | _LOG_FIELDS
    if value.keys() != fields.keys() | {"type"}:
        raise RemoteProtocolError(f"raft: {value['type']} has fields {sorted(map(str, value))}, not {sorted(fields)}")
    for name, kind in fields.items():
        if type(value[name]) is not kind or (kind is int and value[name] < 0):
            raise RemoteProtocolError(f"raft: {value['type']}.{name} is not a sound {kind.__name__}")
    if "entries" in value:
        value["entries"] = _entries(value["prevLogIdx"], value["entries"])
    return value


def _entries(previous: int, entries: list[Any]) -> list[tuple[bytes, int, int]]:
    checked = []
    for entry in entries:
        previous += 1
        match entry:
            case [bytes(command), int(index), int(term)] if index == previous and command:
                checked.append((command, index, term))
            case _:
                raise RemoteProtocolError(f"raft: entry {previous} is malformed or out of order")
    return checked


def size_bytes(message: Message) -> int:
    """The bulk of a message: its entries."""
    return sum(len(entry[0]) for entry in message.get("entries", ()))


def pieces(message: Message) -> Iterator[Message]:
    """The same as several messages in order, each with entries of limits.LOG_ENTRY_BYTES at most.

    The core sends up to 4 MiB and one entry more in one message; a frame of the wire carries less.
    """
    entries = message.get("entries")
    if not entries or (len(entries) <= _ENTRIES_MAX and size_bytes(message) <= limits.LOG_ENTRY_BYTES):
        yield message
        return
    part: list[tuple[bytes, int, int]] = []
    size = 0
    previous = (message["prevLogIdx"], message["prevLogTerm"])
    for entry in entries:
        if part and (size + len(entry[0]) > limits.LOG_ENTRY_BYTES or len(part) == _ENTRIES_MAX):
            yield {**message, "prevLogIdx": previous[0], "prevLogTerm": previous[1], "entries": part}
            previous = part[-1][1:]
            part, size = [], 0
        part.append(entry)
        size += len(entry[0])
    yield {**message, "prevLogIdx": previous[0], "prevLogTerm": previous[1], "entries": part}
