"""The few protobuf bodies that kubectl sends for what is served here: the self reviews and options of a delete.

A body is ``k8s``, a zero byte and an envelope that names the kind and holds its bytes. The table gives the fields of
each message that are used; others are passed over. Other kinds are refused with 415.
Source: generated.proto of Kubernetes' API packages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from orchestr8.errors import BadRequest
from orchestr8.master.apiserver.messages import Refusal

_MAGIC = b"k8s\x00"


class _Field(NamedTuple):
    """``form``: text, integer, flag, or the name of a message in the table."""

    name: str
    form: str
    repeated: bool = False


_MESSAGES: dict[str, dict[int, _Field]] = {
    "Envelope": {1: _Field("type", "TypeMeta"), 2: _Field("raw", "bytes")},
    "TypeMeta": {1: _Field("apiVersion", "text"), 2: _Field("kind", "text")},
    "ObjectMeta": {1: _Field("name", "text"), 2: _Field("generateName", "text"), 3: _Field("namespace", "text")},
    "SelfSubjectReview": {},
    "SelfSubjectAccessReview": {2: _Field("spec", "SelfSubjectAccessReviewSpec")},
    "SelfSubjectAccessReviewSpec": {
        1: _Field("resourceAttributes", "ResourceAttributes"),
        2: _Field("nonResourceAttributes", "NonResourceAttributes"),
    },
    "ResourceAttributes": {
        1: _Field("namespace", "text"),
        2: _Field("verb", "text"),
        3: _Field("group", "text"),
        4: _Field("version", "text"),
        5: _Field("resource", "text"),
        6: _Field("subresource", "text"),
        7: _Field("name", "text"),
    },
    "NonResourceAttributes": {1: _Field("path", "text"), 2: _Field("verb", "text")},
    "SelfSubjectRulesReview": {2: _Field("spec", "SelfSubjectRulesReviewSpec")},
    "SelfSubjectRulesReviewSpec": {1: _Field("namespace", "text")},
    "DeleteOptions": {
        1: _Field("gracePeriodSeconds", "integer"),
        2: _Field("preconditions", "Preconditions"),
        3: _Field("orphanDependents", "flag"),
        4: _Field("propagationPolicy", "text"),
        5: _Field("dryRun", "text", repeated=True),
    },
    "Preconditions": {1: _Field("uid", "text"), 2: _Field("resourceVersion", "text")},
    "Eviction": {1: _Field("metadata", "ObjectMeta"), 2: _Field("deleteOptions", "DeleteOptions")},
}
_KINDS = ("SelfSubjectReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview", "DeleteOptions", "Eviction")


def decode(body: bytes) -> dict[str, Any]:
    """The object as its JSON would say it. Raises BadRequest, and Refusal 415 for a kind that is not read here."""
    if not body.startswith(_MAGIC):
        raise BadRequest("a protobuf body must start with k8s and a zero byte")
    envelope = _message("Envelope", body[len(_MAGIC) :])
    named = envelope.get("type", {})
    kind = named.get("kind", "")
    if kind not in _KINDS:
        raise Refusal(
            415,
            "UnsupportedMediaType",
            f"{kind or 'objects'} cannot be sent as protobuf yet: send JSON (kubectl: use apply -f instead of create)",
        )
    return {**named, **_message(kind, envelope.get("raw", b""))}


def _message(name: str, data: bytes) -> dict[str, Any]:
    table = _MESSAGES[name]
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        field = table.get(number)
        if field is None:
            continue
        read = _value(field.form, value)
        if field.repeated:
            found.setdefault(field.name, []).append(read)
        else:
            found[field.name] = read
    return found


def _value(form: str, value: int | bytes) -> Any:
    if isinstance(value, int):
        if form == "flag":
            return bool(value)
        if form == "integer":
            return value - (1 << 64) if value >= 1 << 63 else value
    elif form == "bytes":
        return value
    elif form == "text":
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise BadRequest("a protobuf body holds text that is not UTF-8") from error
    elif form in _MESSAGES:
        return _message(form, value)
    raise BadRequest(f"a protobuf body holds a {form} of the wrong wire type")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        match tag & 7:
            case 0:
                value, position = _varint(data, position)
                yield tag >> 3, value
                continue
            case 1:
                length = 8
            case 2:
                length, position = _varint(data, position)
            case 5:
                length = 4
            case _:
                raise BadRequest("a protobuf body holds an unknown wire type")
        if length > len(data) - position:
            raise BadRequest("a protobuf body ends in the middle of a field")
        yield tag >> 3, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise BadRequest("a protobuf body ends in the middle of a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, position
    raise BadRequest("a protobuf body holds a number that is too long")
