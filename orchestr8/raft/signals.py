"""Two ways to wait for the replica: for any change, and for an index to be applied."""

from __future__ import annotations

import heapq
from itertools import count

import trio


class Signal:
    """``fire`` wakes everybody who waits now. Look at what you wait for before and after."""

    def __init__(self) -> None:
        self._lot = trio.lowlevel.ParkingLot()

    async def wait(self) -> None:
        await self._lot.park()

    def fire(self) -> None:
        if self._lot:
            self._lot.unpark_all()


class Milestones:
    """Waiters for growing numbers; each is woken once, by the first number that reaches its own."""

    def __init__(self, reached: int) -> None:
        self.reached = reached
        self._order = count()
        self._waiting: list[tuple[int, int, trio.Event]] = []

    async def wait(self, number: int) -> None:
        if self.reached >= number:
            return
        event = trio.Event()
        heapq.heappush(self._waiting, (number, next(self._order), event))
        await event.wait()

    def reach(self, number: int) -> None:
        self.reached = number
        while self._waiting and self._waiting[0][0] <= number:
            heapq.heappop(self._waiting)[2].set()
