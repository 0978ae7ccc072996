"""How much of this master one user may have at a time, so that one who floods it does not stop the others.

Each user has a lane for reads and one for writes. A lane that is full answers 429 at once: waiting in a hidden queue
would only make everybody slow. Watches and other streams are bounded by the number of connections instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from orchestr8 import limits
from orchestr8.errors import TooManyRequests


class Lanes:
    def __init__(self) -> None:
        self._busy: Counter[tuple[str, bool]] = Counter()

    @contextmanager
    def enter(self, user: str, *, reading: bool) -> Iterator[None]:
        """Raises TooManyRequests when the user's lane is full."""
        lane = (user, reading)
        bound = limits.HTTP_READS_PER_USER if reading else limits.HTTP_WRITES_PER_USER
        if self._busy[lane] >= bound:
            what = "reads" if reading else "writes"
            raise TooManyRequests(f"{user} has {bound} {what} under way at this master: try again")
        self._busy[lane] += 1
        try:
            yield
        finally:
            self._busy[lane] -= 1
            if not self._busy[lane]:
                del self._busy[lane]
