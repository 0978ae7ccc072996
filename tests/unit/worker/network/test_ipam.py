"""Addresses: none twice, and the one used longest ago first."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.errors import LimitExceeded
from orchestr8.worker.network import ipam

CIDR = "10.70.1.0/28"
USABLE = 14


def test_a_replaced_pod_gets_another_address_although_its_own_is_free_again() -> None:
    first, pool = ipam.allocate(ipam.pool(CIDR), ())
    second, _ = ipam.allocate(ipam.release(pool, first), ())
    assert (first, second) == ("10.70.1.1", "10.70.1.2")


def test_an_address_comes_again_only_when_all_others_were_used_since_it_was_released() -> None:
    pool = ipam.release(ipam.pool(CIDR), "10.70.1.7")
    given_out: list[str] = []
    for _ in range(USABLE):
        ip, pool = ipam.allocate(pool, given_out)
        given_out.append(ip)
    assert given_out[-1] == "10.70.1.7"


def test_a_restarted_node_goes_on_after_the_highest_address_in_use() -> None:
    assert ipam.allocate(ipam.pool(CIDR, ["10.70.1.3", "10.70.1.9", "192.0.2.1"]), ["10.70.1.9"])[0] == "10.70.1.10"
    assert ipam.allocate(ipam.pool(CIDR, ["10.70.1.14"]), ["10.70.1.14"])[0] == "10.70.1.1"


def test_a_full_range_says_so_with_its_size() -> None:
    pool = ipam.pool(CIDR)
    with pytest.raises(LimitExceeded, match=r"10\.70\.1\.0/28: all 14 are in use"):
        ipam.allocate(pool, pool.order)


@given(st.lists(st.one_of(st.none(), st.integers(0, USABLE - 1)), max_size=60))
def test_whatever_comes_and_goes_no_address_is_given_twice_or_outside_the_range(steps: list[int | None]) -> None:
    """None: a pod comes. n: the n-th pod goes."""
    pool, in_use = ipam.pool(CIDR), list[str]()
    for step in steps:
        if step is None and len(in_use) < USABLE:
            ip, pool = ipam.allocate(pool, in_use)
            assert ip not in in_use
            assert ipaddress.ip_address(ip) in ipaddress.ip_network(CIDR)
            in_use.append(ip)
        elif step is not None and step < len(in_use):
            pool = ipam.release(pool, in_use.pop(step))
    assert len(set(pool.order)) == USABLE
