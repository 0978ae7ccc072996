"""The last changes of the state, in order, for watches and for reading the recent past.

A ring of limits.HISTORY_CHANGES. Every write has a revision of its own and revisions have no gaps, so the place of a
revision in the ring is plain arithmetic. What fell out of the ring is Expired: the reader lists again.
Not part of the state's digest: a replica that started from a snapshot has a shorter memory, not another state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from orchestr8 import limits
from orchestr8.errors import Expired
from orchestr8.store.command import Key
from orchestr8.store.stored import Stored


class Change(NamedTuple):
    """One write. ``before`` None: created; ``after`` None: deleted at ``revision``."""

    revision: int
    key: Key
    before: Stored | None
    after: Stored | None


class History:
    """Changes ``oldest + 1`` to ``newest``; ``oldest`` itself is the first revision that can still be read."""

    def __init__(self, revision: int, bound: int = limits.HISTORY_CHANGES) -> None:
        self._changes: deque[Change] = deque(maxlen=bound)
        self.newest = revision

    @property
    def oldest(self) -> int:
        return self.newest - len(self._changes)

    def append(self, change: Change) -> None:
        self._changes.append(change)
        self.newest = change.revision

    def since(self, revision: int) -> Sequence[Change]:
        """Changes after ``revision``, oldest first. Raises Expired when some are gone, or for a future revision."""
        found = list(self.newest_first(revision))
        found.reverse()
        return found

    def newest_first(self, revision: int) -> Iterator[Change]:
        """As ``since``, newest first: the order in which changes are undone."""
        if revision > self.newest:
            raise Expired(
                f"revision {revision} is newer than this master's {self.newest}: list again and watch from there"
            )
        if revision < self.oldest:
            raise Expired(f"revision {revision} is older than the history kept (from {self.oldest}): list again")
        return islice(reversed(self._changes), self.newest - revision)
