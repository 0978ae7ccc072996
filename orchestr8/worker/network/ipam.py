"""Which address a new pod gets: the least recently used free one of the node's range. Pure.

A pod that replaces another so gets another address, and connections to the old one fail instead of reaching a
stranger. The range's network address stays free (an overlay will want it), as does its broadcast address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

import msgspec

from orchestr8.errors import LimitExceeded


class Pool(msgspec.Struct, frozen=True):
    """``order``: every address of the range that pods may have, least recently used first."""

    cidr: str
    order: tuple[str, ...]


def pool(cidr: str, in_use: Collection[str] = ()) -> Pool:
    """The pool of a node that starts, or starts again: what follows the highest address in use comes first.
    ``cidr``: such as 10.70.1.0/24. Raises ValueError for anything else."""
    network = ipaddress.IPv4Network(cidr)
    usable = [str(address) for address in network.hosts() if address != network.network_address]
    start = max((usable.index(ip) + 1 for ip in in_use if ip in usable), default=0)
    return Pool(cidr, (*usable[start:], *usable[:start]))


def allocate(pool: Pool, in_use: Collection[str]) -> tuple[str, Pool]:
    """A free address, and the pool that remembers its use. Raises LimitExceeded if there is none."""
    for ip in pool.order:
        if ip not in in_use:
            return ip, release(pool, ip)
    raise LimitExceeded(f"no free address in {pool.cidr}: all {len(pool.order)} are in use by pods of this node")


def release(pool: Pool, ip: str) -> Pool:
    """The pool after ``ip`` was used: it will be given last. Addresses of other ranges: no change."""
    if ip not in pool.order:
        return pool
    return Pool(pool.cidr, (*(other for other in pool.order if other != ip), ip))
