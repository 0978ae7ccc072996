"""When each node was last heard of, and by which master. In memory only: an idle cluster writes nothing.

A worker's heartbeat reaches the one master it is connected to; any two masters tell each other once a period which
nodes they hear and how long ago (ages, not times: clocks of hosts differ). So every master, also one that begins to
lead a moment later, knows the last sign of life of every node. Pure: time is an argument, in monotonic seconds.

A master that could not have heard (just started, asleep, cut off from the others) must not take its own silence for
the nodes': ``listen_afresh`` makes every node count as seen no earlier than now.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from orchestr8 import limits

# A report about nodes older than this says nothing any more about where they are connected.
REPORT_SECONDS = limits.NODE_LEASE_SECONDS
_FORGET_SECONDS = 600.0


class Heartbeats:
    """``me``: this master's name. ``members``: names of all masters, this one included."""

    def __init__(self, me: str, members: Iterable[str], now: float) -> None:
        self._me = me
        self._others = frozenset(members) - {me}
        self._quorum = (len(self._others) + 1) // 2 + 1
        self._seen: dict[str, float] = {}
        self._here: set[str] = set()
        self._elsewhere: dict[str, dict[str, float]] = {}
        self._reported: dict[str, float] = {}
        self._listening_since = now
        self._ticked = now
        self._was_in_touch = True

    # -- questions ------------------------------------------------------------------------------------

    def last_seen(self, node: str) -> float:
        """Monotonic seconds of the last sign of life, or of when this master began to listen if that is later."""
        return max(self._seen.get(node, self._listening_since), self._listening_since)

    def where(self, node: str, now: float) -> str | None:
        """The other master that hears the node, by the freshest report; None: nobody does."""
        best: tuple[float, str] | None = None
        for master, nodes in self._elsewhere.items():
            if node in nodes and now - self._reported[master] <= REPORT_SECONDS:
                best = max(best or (0.0, ""), (nodes[node], master))
        return best[1] if best is not None else None

    def touched(self, master: str, now: float) -> bool:
        """Whether that master and this one have exchanged reports in the last two periods."""
        return now - self._reported.get(master, -math.inf) <= 2 * limits.HEARTBEAT_SECONDS

    def in_touch(self, now: float) -> bool:
        """Whether a majority of masters, this one included, was reached lately. Without it heartbeats are in vain."""
        fresh = sum(1 for at in self._reported.values() if now - at <= limits.NODE_LEASE_SECONDS / 2)
        return fresh + 1 >= self._quorum or now - self._listening_since <= limits.NODE_LEASE_SECONDS / 2

    def report(self, now: float) -> dict[str, float]:
        """Node to seconds since its last sign of life, for the nodes connected here."""
        return {node: round(max(0.0, now - self._seen.get(node, now)), 3) for node in sorted(self._here)}

    # -- what happened --------------------------------------------------------------------------------

    def connected(self, node: str, now: float) -> None:
        self._here.add(node)
        self._seen[node] = now

    def disconnected(self, node: str) -> None:
        self._here.discard(node)

    def beat(self, node: str, now: float) -> None:
        self._seen[node] = now

    def heard(self, master: str, ages: Mapping[str, float], now: float) -> None:
        """Another master's report: it asked and gets ours as the answer, or it answered ours."""
        if master not in self._others:
            return
        seen = {node: now - max(0.0, age) for node, age in ages.items()}
        self._elsewhere[master] = seen
        self._reported[master] = now
        for node, at in seen.items():
            self._seen[node] = max(at, self._seen.get(node, at))

    def tick(self, now: float) -> None:
        """Once a period: notices that we were asleep or cut off, and forgets nodes that are long gone."""
        in_touch = self.in_touch(now)
        if now - self._ticked > limits.NODE_LEASE_SECONDS / 2 or (in_touch and not self._was_in_touch):
            self.listen_afresh(now)
        self._ticked, self._was_in_touch = now, in_touch
        for node in [node for node, at in self._seen.items() if now - at > _FORGET_SECONDS and node not in self._here]:
            del self._seen[node]

    def listen_afresh(self, now: float) -> None:
        """Silence before now proves nothing."""
        self._listening_since = now
