"""How often one address may fail to join: TRIES per minute. Pure; bounded in memory."""

from __future__ import annotations

from collections import deque

from orchestr8.errors import TooManyRequests

TRIES = 5
_WINDOW_SECONDS = 60.0
_ADDRESSES_REMEMBERED = 4_096


class Attempts:
    """A try counts when it begins and is forgiven when it succeeds, so that parallel guesses count, too."""

    def __init__(self) -> None:
        self._tries: dict[str, deque[float]] = {}

    def begin(self, address: str, monotonic_seconds: float) -> None:
        """Raises TooManyRequests, which does not count as a try."""
        tries = self._tries.pop(address, None) or deque()
        self._tries[address] = tries  # newest last: the oldest is forgotten first
        while tries and monotonic_seconds - tries[0] >= _WINDOW_SECONDS:
            tries.popleft()
        if len(tries) >= TRIES:
            wait_seconds = int(_WINDOW_SECONDS - (monotonic_seconds - tries[0])) + 1
            raise TooManyRequests(
                f"{TRIES} failed tries a minute from {address}: wait {wait_seconds} s", retry_after_seconds=wait_seconds
            )
        tries.append(monotonic_seconds)
        while len(self._tries) > _ADDRESSES_REMEMBERED:
            del self._tries[next(iter(self._tries))]

    def forgive(self, address: str) -> None:
        tries = self._tries.get(address)
        if tries:
            tries.pop()
