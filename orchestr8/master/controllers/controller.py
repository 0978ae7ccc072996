"""What a controller is: one question about the cluster, asked again for every key that a change may concern.

``decide`` reads the whole state that matters for one key and returns a Plan; it has no memory, so a change that was
missed costs time, never correctness. ``affected`` turns a change into keys; ``everything`` lists all keys for the
first and the periodic full pass. All are pure; loop.py does what the plans say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from orchestr8.store.command import Key
from orchestr8.store.history import Change
from orchestr8.store.plan import Plan
from orchestr8.store.view import View


class Moment(msgspec.Struct, frozen=True):
    """``wall``: aware UTC, for timestamps in objects. ``monotonic_seconds``: for what must not follow a clock step."""

    wall: datetime
    monotonic_seconds: float


class Controller(msgspec.Struct, frozen=True):
    """``kinds``: whose changes it follows, None for all. ``pause_seconds``: between two looks at one key, so that a
    burst of changes is answered by few writes; the first look is never delayed."""

    name: str
    affected: Callable[[Change, View], Iterable[Key]]
    everything: Callable[[View], Iterable[Key]]
    decide: Callable[[View, Key, Moment], Plan]
    kinds: frozenset[str] | None = None
    pause_seconds: float = 0.0


def key_of_change(change: Change, view: View) -> tuple[Key, ...]:
    """The changed object's own key."""
    return (change.key,)
