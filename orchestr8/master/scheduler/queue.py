"""Which pods to try next: by priority and age; those that fitted nowhere wait for a change that can help them.

Pure bookkeeping. A pod is either ready to be tried or parked with the ``Wake`` that its failed filters named.
``wake`` moves the parked pods that a change may help; ``wake_all`` is the slow full pass that makes up for any mistake
in that reasoning. Pods of one family are one unit of work, so ``take`` bounds both pods and families.
"""

from __future__ import annotations

from heapq import heappop, heappush

from orchestr8.master.scheduler.facts import Family, PodFacts
from orchestr8.master.scheduler.filters import Wake

_Key = tuple[str, str]


class Queue:
    def __init__(self) -> None:
        self._ready: dict[_Key, PodFacts] = {}
        self._heap: list[tuple[tuple[int, int, str, str], _Key]] = []
        self._parked: dict[_Key, tuple[PodFacts, Wake]] = {}

    def __len__(self) -> int:
        """Pods that are ready to be tried."""
        return len(self._ready)

    def offer(self, pod: PodFacts) -> None:
        """The pod waits, as of now. A parked pod that asks for the same as before stays parked."""
        parked = self._parked.get(pod.key)
        if parked is not None and parked[0].uid == pod.uid and parked[0].family is pod.family:
            self._parked[pod.key] = (pod, parked[1])
            return
        self._parked.pop(pod.key, None)
        known = self._ready.get(pod.key)
        self._ready[pod.key] = pod
        if known is None or known.order != pod.order:
            heappush(self._heap, (pod.order, pod.key))

    def discard(self, key: _Key) -> None:
        self._ready.pop(key, None)
        self._parked.pop(key, None)

    def park(self, pod: PodFacts, wake: Wake) -> None:
        """The pod fits nowhere now."""
        self._ready.pop(pod.key, None)
        self._parked[pod.key] = (pod, wake)

    def wake(self, wake: Wake) -> None:
        for pod, helped_by in list(self._parked.values()) if wake else ():
            if helped_by & wake:
                del self._parked[pod.key]
                self.offer(pod)

    def wake_all(self) -> None:
        self.wake(Wake.ANY)

    def take(self, pods_max: int, families_max: int) -> list[PodFacts]:
        """The pods to try now, best first; they leave the queue and come back by ``offer`` or ``park``."""
        taken: list[PodFacts] = []
        families: set[Family] = set()
        while self._heap and len(taken) < pods_max:
            order, key = self._heap[0]
            pod = self._ready.get(key)
            if pod is None or pod.order != order:
                heappop(self._heap)
                continue
            if pod.family not in families and len(families) >= families_max:
                break
            families.add(pod.family)
            heappop(self._heap)
            del self._ready[key]
            taken.append(pod)
        return taken
