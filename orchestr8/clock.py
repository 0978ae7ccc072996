"""Wall time derived from trio's clock, so that a virtual clock moves both.

Durations always come from ``monotonic_seconds()``; wall time is only for what people and other hosts read
(timestamps, certificates, cron). A step of the host's clock therefore never moves a timer.
"""

from __future__ import annotations

import datetime as dt
import time

import trio


class Clock:
    """Reads trio's clock. Outside trio's loop use it not at all."""

    def __init__(self, epoch_seconds: float | None = None) -> None:
        """``epoch_seconds``: the wall time that belongs to trio time 0 (simulation); None follows the host."""
        self._epoch_seconds = epoch_seconds

    def monotonic_seconds(self) -> float:
        return trio.current_time()

    def now(self) -> dt.datetime:
        """Aware UTC time with microseconds."""
        if self._epoch_seconds is None:
            return dt.datetime.fromtimestamp(time.time(), dt.UTC)
        return dt.datetime.fromtimestamp(self._epoch_seconds + trio.current_time(), dt.UTC)


def to_seconds(moment: dt.datetime) -> dt.datetime:
    """Kubernetes ``Time`` has whole seconds; ``MicroTime`` keeps the fraction."""
    return moment.replace(microsecond=0)
