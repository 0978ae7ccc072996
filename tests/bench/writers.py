"""Clients that never stop writing, and the longest silence between the answers they get.

Each writer sends the next write as soon as the last is answered, and asks again when it is refused. What counts is the
longest silence after a loss, so that a write that was answered just before the signal took effect shortens nothing.
"""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from tests.cluster.api import Refused, until

# Opens a connection; what it gives writes once and returns when that is acknowledged.
Open = Callable[[], AbstractContextManager[Callable[[int], object]]]

_STEADY_WRITES = 20
_PAUSE_SECONDS = 0.1  # a longer silence is one that a loss made
_LISTEN_SECONDS = 3.0  # so long without any such silence: there was none
_RETRY_SECONDS = 0.005


class Writers:
    """``acked``: when each write was acknowledged to any of them (``time.monotonic()``)."""

    def __init__(self, opens: Sequence[Open]) -> None:
        self.acked: list[float] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(each,), daemon=True) for each in opens]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def longest_silence(self, since: float) -> tuple[float, float]:
        """(its begin, its end), once writes flow steadily again; ``since`` is the earliest begin."""

        def acked() -> list[float]:
            return [since, *sorted(at for at in self.acked if at > since)]

        def steady(times: list[float]) -> bool:
            ends = [b for a, b in itertools.pairwise(times) if b - a > _PAUSE_SECONDS]
            after = [at for at in times if not ends or at > ends[-1]]
            return len(after) > _STEADY_WRITES and (bool(ends) or time.monotonic() > since + _LISTEN_SECONDS)

        times = until("writes are answered again", acked, holds=steady, seconds=60)
        return max(itertools.pairwise(times), key=lambda pair: pair[1] - pair[0])

    def _write(self, opened: Open) -> None:
        while not self._stop.is_set():
            try:
                with opened() as write:
                    for number in itertools.count():
                        if self._stop.is_set():
                            return
                        write(number)
                        self.acked.append(time.monotonic())
            except (OSError, http.client.HTTPException, Refused):
                time.sleep(_RETRY_SECONDS)


@contextmanager
def writing(opens: Sequence[Open]) -> Iterator[Writers]:
    """They write while the block runs; it is entered when they do so steadily."""
    writers = Writers(opens)
    try:
        until("writes are answered", lambda: len(writers.acked), holds=lambda count: count >= _STEADY_WRITES)
        yield writers
    finally:
        writers.stop()
