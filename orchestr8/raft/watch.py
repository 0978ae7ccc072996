"""Changes in order, from a revision on: every watcher is a place in the state's one history.

Nothing is queued per watcher, so ten thousand of them cost ten thousand numbers. A watcher that falls behind the
history, or whose state was replaced by a leader's snapshot, gets Expired and lists again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestr8 import limits
from orchestr8.raft.signals import Signal
from orchestr8.store.history import Change
from orchestr8.store.state import State


class Watch:
    """Iterate: each item is a list of 1 to limits.WATCH_BUFFER_CHANGES changes. Raises Expired."""

    def __init__(self, since_revision: int, state: Callable[[], State], advanced: Signal) -> None:
        self.revision = since_revision  # all changes up to here were given out
        self._state = state
        self._advanced = advanced
        self._ahead: Sequence[Change] = ()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> list[Change]:
        while not self._ahead:
            # A state that stands earlier than this watcher (another master's revision was given) must first catch up.
            if self._state().revision > self.revision:
                self._ahead = self._state().since(self.revision)
            else:
                await self._advanced.wait()
        batch = list(self._ahead[: limits.WATCH_BUFFER_CHANGES])
        self._ahead = self._ahead[limits.WATCH_BUFFER_CHANGES :]
        self.revision = batch[-1].revision
        return batch
