"""What a decider returns: preconditioned writes, things to tell the user, and when to look again.

A decider is a pure function of (desired, observed, now). It names the objects that it has read; the shell turns
resource versions into compares, fills in uids and timestamps and proposes the transaction. A plan whose preconditions
no longer hold changes nothing, and the decider runs again on the newer view.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from orchestr8.api.meta import Object


class Create(msgspec.Struct, frozen=True):
    """``obj`` with ``name`` or ``generateName``; uid, creation time and generation are filled in by the shell."""

    obj: Object


class Update(msgspec.Struct, frozen=True):
    """``obj`` as it shall be. Precondition: its own resource_version. The generation grows with a changed spec."""

    obj: Object


class UpdateStatus(msgspec.Struct, frozen=True):
    """As Update, for a decider that changed nothing but ``status``."""

    obj: Object


class Remove(msgspec.Struct, frozen=True):
    """DELETE as a user would send it: finalizers and a pod's grace period apply (0: gone at once).

    ``propagation``: Background, Foreground or Orphan. Precondition: the object's resource_version.
    """

    obj: Object
    grace_period_seconds: int | None = None
    propagation: str = "Background"


class Note(msgspec.Struct, frozen=True):
    """Becomes an Event. ``type``: Normal or Warning; ``reason``: one CamelCase word."""

    regarding: Object
    type: str
    reason: str
    message: str


Write = Create | Update | UpdateStatus | Remove


class Plan(msgspec.Struct, frozen=True):
    """``wake_at``: look again then even if nothing changes. ``reasons``: why, one line each, for people."""

    writes: tuple[Write, ...] = ()
    events: tuple[Note, ...] = ()
    wake_at: datetime | None = None
    reasons: tuple[str, ...] = ()


NOTHING = Plan()


def merge(plans: Iterable[Plan]) -> Plan:
    """All that the plans ask for; the earliest of their wake-ups."""
    parts = list(plans)
    return Plan(
        writes=tuple(write for part in parts for write in part.writes),
        events=tuple(note for part in parts for note in part.events),
        wake_at=min((part.wake_at for part in parts if part.wake_at is not None), default=None),
        reasons=tuple(reason for part in parts for reason in part.reasons),
    )
