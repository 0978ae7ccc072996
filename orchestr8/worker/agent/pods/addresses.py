"""The addresses of this node's pods: one each, remembered in the sandbox's label, given anew as late as possible."""

from __future__ import annotations

from orchestr8.errors import Unavailable
from orchestr8.worker.network import ipam


class Addresses:
    def __init__(self) -> None:
        self._pool: ipam.Pool | None = None
        self._taken: dict[str, str] = {}

    @property
    def cidr(self) -> str:
        return self._pool.cidr if self._pool is not None else ""

    def use(self, cidr: str) -> None:
        """The node's range, once its network is open; the same one again changes nothing. Raises ValueError."""
        if cidr != self.cidr:
            self._pool = ipam.pool(cidr, tuple(self._taken.values()))

    def adopt(self, pod_uid: str, ip: str) -> None:
        """A pod that was found running has this address."""
        self._taken[pod_uid] = ip

    def take(self, pod_uid: str) -> str:
        """The pod's address; the same one at each call. Raises Unavailable (no range yet), LimitExceeded (all used)."""
        if self._pool is None:
            raise Unavailable("this node has no address range yet: no master has given it one")
        if pod_uid not in self._taken:
            self._taken[pod_uid], self._pool = ipam.allocate(self._pool, tuple(self._taken.values()))
        return self._taken[pod_uid]

    def release(self, pod_uid: str) -> None:
        ip = self._taken.pop(pod_uid, None)
        if ip is not None and self._pool is not None:
            self._pool = ipam.release(self._pool, ip)
