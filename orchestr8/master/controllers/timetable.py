"""Which keys of one controller are due, and when the next one is. Pure: time is an argument, in monotonic seconds.

A key waits in one of three ways: due now, due at a time, or resting after a look, until which further wakes are held
together as one. Bounded by the number of keys.
"""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush
from itertools import count

from orchestr8.store.command import Key

_SWEEP_ABOVE = 64


class Timetable:
    """``pause_seconds``: how long a key rests after a look."""

    def __init__(self, pause_seconds: float) -> None:
        self._pause_seconds = pause_seconds
        self._due: dict[Key, None] = {}
        self._at: dict[Key, float] = {}
        self._resting: dict[Key, bool] = {}  # True: woken meanwhile
        self._heap: list[tuple[float, int, Key]] = []
        self._order = count()

    def wake(self, key: Key) -> None:
        """Something changed: look as soon as the key has rested."""
        if key in self._resting:
            self._resting[key] = True
        else:
            self._due[key] = None

    def wake_at(self, key: Key, at: float) -> None:
        """Look at ``at`` even if nothing changes; replaces an earlier wish for the key."""
        self._at[key] = at
        self._push(at, key)

    def looked(self, key: Key, now: float) -> None:
        """The key was just looked at: earlier wishes are void, and it rests."""
        self._at.pop(key, None)
        if self._pause_seconds:
            self._resting[key] = False
            self._push(now + self._pause_seconds, key)

    def next_due(self) -> float:
        """Monotonic seconds of the next due key; -inf: now, inf: never."""
        if self._due:
            return -math.inf
        return self._heap[0][0] if self._heap else math.inf

    def take(self, now: float) -> Key | None:
        """The next due key; it is no longer due then."""
        self._advance(now)
        key = next(iter(self._due), None)
        if key is not None:
            del self._due[key]
        return key

    def _push(self, at: float, key: Key) -> None:
        """Void entries stay in the heap until their time; when they are the greater part, they are swept out."""
        heappush(self._heap, (at, next(self._order), key))
        if len(self._heap) > 2 * (len(self._at) + len(self._resting)) + _SWEEP_ABOVE:
            self._heap = [
                entry for entry in self._heap if entry[2] in self._resting or self._at.get(entry[2]) == entry[0]
            ]
            heapify(self._heap)

    def _advance(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            _, _, key = heappop(self._heap)
            if self._resting.pop(key, False):
                self._due[key] = None
            at = self._at.get(key)
            if at is not None and at <= now:
                del self._at[key]
                self._due[key] = None
