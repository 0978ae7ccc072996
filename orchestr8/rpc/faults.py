"""Errors of errors.py on the wire: ``[code, message, details]``. Pure.

``details`` carries what a class knows beyond its message; an unknown code (a newer peer) stays readable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestr8.errors import (
    BY_CODE,
    Cause,
    Invalid,
    LocalProtocolError,
    NotLeader,
    Orchestr8Error,
    RemoteProtocolError,
    TooManyRequests,
    from_code,
)


def to_wire(error: Orchestr8Error) -> list[Any]:
    details: dict[str, Any] = {}
    if isinstance(error, TooManyRequests):
        details["retry_after_seconds"] = error.retry_after_seconds
    elif isinstance(error, Invalid):
        details["causes"] = [[cause.field, cause.message, cause.reason] for cause in error.causes]
    elif isinstance(error, NotLeader):
        details["leader"] = error.leader
    return [error.code, error.message, details]


def from_wire(code: Any, message: Any, details: Any) -> Orchestr8Error:
    """The error that a peer sent. Raises RemoteProtocolError if these are not the parts of one."""
    if not (isinstance(code, str) and isinstance(message, str) and isinstance(details, Mapping)):
        raise RemoteProtocolError("an error needs a code, a message and a map of details")
    cls = BY_CODE.get(code)
    if cls is TooManyRequests and isinstance(details.get("retry_after_seconds"), int):
        return TooManyRequests(message, details["retry_after_seconds"])
    if cls is NotLeader and isinstance(details.get("leader"), str):
        return NotLeader(message, details["leader"])
    if cls is Invalid:
        return Invalid(message, _causes(details.get("causes")))
    # What the peer did wrong inside itself is no mistake of ours.
    return Orchestr8Error(message) if cls is LocalProtocolError else from_code(code, message)


def _causes(parts: Any) -> tuple[Cause, ...]:
    if not isinstance(parts, list) or not all(
        isinstance(part, list) and len(part) == 3 and all(isinstance(text, str) for text in part) for part in parts
    ):
        raise RemoteProtocolError("the causes of an error are a list of [field, message, reason]")
    return tuple(Cause(field, message, reason) for field, message, reason in parts)
