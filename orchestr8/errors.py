"""Every error that may cross a package boundary or the wire, with one stable code each.

A code is a promise: the RPC sends it, the API server maps it to a Kubernetes Status reason and an HTTP
status, the command line maps it to an exit code. Messages say what the reader can do next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class Orchestr8Error(Exception):
    """Root of the tree. ``code`` is stable and unique per class."""

    code: ClassVar[str] = "Internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unavailable(Orchestr8Error):
    """Nothing was done; the same request may be sent again (no leader, no quorum, peer gone before sending)."""

    code = "Unavailable"


class NotLeader(Unavailable):
    """This master does not lead; ``leader`` names the one that does, if known. Never leaves raft/."""

    code = "NotLeader"

    def __init__(self, message: str, leader: str | None = None) -> None:
        super().__init__(message)
        self.leader = leader


class OutcomeUnknown(Orchestr8Error):
    """The command may or may not have been applied. Safe to repeat only with the same request id."""

    code = "OutcomeUnknown"


class DeadlineExceeded(Orchestr8Error):
    """The caller's deadline passed before an answer came."""

    code = "DeadlineExceeded"


class TooManyRequests(Orchestr8Error):
    """A bounded queue is full. Nothing was done; try again after ``retry_after_seconds``."""

    code = "TooManyRequests"

    def __init__(self, message: str, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class LimitExceeded(Orchestr8Error):
    """A bound of limits.py would be broken. Nothing was done."""

    code = "LimitExceeded"


class NotFound(Orchestr8Error):
    code = "NotFound"


class AlreadyExists(Orchestr8Error):
    code = "AlreadyExists"


class Conflict(Orchestr8Error):
    """A precondition (revision, uid) did not hold. Read again and decide again."""

    code = "Conflict"


class Expired(Orchestr8Error):
    """The revision asked for is older than the history kept; list again and watch from there."""

    code = "Expired"


class BadRequest(Orchestr8Error):
    """The request cannot be understood: malformed JSON, unknown parameter, wrong type."""

    code = "BadRequest"


@dataclass(frozen=True, slots=True)
class Cause:
    """One complaint about one field. ``reason`` is a Kubernetes CauseType such as FieldValueInvalid."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"


class Invalid(Orchestr8Error):
    """The object is well formed but breaks rules; every broken rule is one cause."""

    code = "Invalid"

    def __init__(self, message: str, causes: tuple[Cause, ...] = ()) -> None:
        super().__init__(message)
        self.causes = causes


class Unauthenticated(Orchestr8Error):
    code = "Unauthenticated"


class Forbidden(Orchestr8Error):
    code = "Forbidden"


class RemoteProtocolError(Orchestr8Error):
    """The other side broke the wire protocol; its connection is closed."""

    code = "RemoteProtocolError"


class LocalProtocolError(Orchestr8Error):
    """Our own code used the wire protocol wrongly: a bug here, not there."""

    code = "LocalProtocolError"


class ConfigError(Orchestr8Error):
    """A setting is unknown, ill-typed or contradicts another; the message names file, line and key."""

    code = "ConfigError"


class CorruptState(Orchestr8Error):
    """Data on disk fails its checksum before its end; starting would invent or lose history."""

    code = "CorruptState"


def _tree(cls: type[Orchestr8Error]) -> list[type[Orchestr8Error]]:
    return [cls, *(found for sub in cls.__subclasses__() for found in _tree(sub))]


BY_CODE: dict[str, type[Orchestr8Error]] = {cls.code: cls for cls in _tree(Orchestr8Error)}


def from_code(code: str, message: str) -> Orchestr8Error:
    """The error that a peer named by ``code``; an unknown code (a newer peer) stays readable."""
    cls = BY_CODE.get(code)
    return cls(message) if cls is not None else Orchestr8Error(f"{code}: {message}")
