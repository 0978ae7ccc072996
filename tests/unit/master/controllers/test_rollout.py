from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.master.controllers.rollout import Bounds, Share, bounds, new_replicas, old_replicas, proportional


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (4, "25%", "25%", Bounds(4, 1, 1)),
        (3, "25%", "25%", Bounds(3, 1, 0)),
        (10, "25%", "25%", Bounds(10, 3, 2)),
        (10, 0, 0, Bounds(10, 0, 1)),
        (1, 0, "25%", Bounds(1, 0, 1)),
        (2, 1, 5, Bounds(2, 1, 2)),
        (0, "50%", "50%", Bounds(0, 0, 0)),
    ],
)
def test_percentages_round_surge_up_and_unavailable_down(replicas, surge, unavailable, expected):
    assert bounds(replicas, surge, unavailable) == expected


_bounds = st.builds(bounds, st.integers(0, 20), st.integers(0, 5), st.integers(0, 5))


@st.composite
def _shares(draw):
    replicas = draw(st.integers(0, 12))
    return Share(replicas, draw(st.integers(0, replicas)))


@given(_bounds, _shares(), st.lists(_shares(), max_size=4))
def test_one_step_never_asks_for_more_than_the_surge_allows(bound, new, old):
    sizes = [share.replicas for share in old]
    grown = new_replicas(bound, new.replicas, sizes)
    if grown > new.replicas:
        assert grown + sum(sizes) <= bound.replicas + bound.max_surge
    assert grown <= max(bound.replicas, new.replicas)


@given(_bounds, _shares(), st.lists(_shares(), max_size=4))
def test_one_step_never_takes_available_pods_below_the_minimum(bound, new, old):
    least = bound.replicas - bound.max_unavailable
    kept = old_replicas(bound, new, old)
    before = new.available + sum(share.available for share in old)
    after = new.available + sum(min(share.available, size) for share, size in zip(old, kept, strict=True))
    assert after >= min(before, least)
    assert all(0 <= size <= share.replicas for share, size in zip(old, kept, strict=True))


@given(_bounds, st.lists(_shares(), min_size=1, max_size=4))
def test_a_rollout_can_always_go_on(bound, old):
    """When everything asked for is available, some step is left until only new pods are asked for."""
    new, sizes = 0, [share.replicas for share in old]
    for _ in range(200):
        if new == bound.replicas and not any(sizes):
            return
        grown = new_replicas(bound, new, sizes)
        kept = sizes if grown != new else old_replicas(bound, Share(new, new), [Share(size, size) for size in sizes])
        assert (grown, kept) != (new, sizes)
        new, sizes = grown, kept
    raise AssertionError("no end")


@given(_bounds, st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_resizing_keeps_the_total_within_the_surge(bound, shares):
    result = proportional(bound, shares, [sum(shares)] * len(shares))
    assert all(size >= 0 for size in result)
    assert sum(result) == (bound.replicas + bound.max_surge if bound.replicas else 0)
