"""The arithmetic of a rollout: how far each ReplicaSet of a Deployment may go in one step. Numbers in, numbers out.

Two promises hold after every step, whatever pods do meanwhile: no more than ``replicas + max_surge`` pods are asked
for, and no step takes away an available pod while fewer than ``replicas - max_unavailable`` would be left.
Source: Kubernetes, "Deployments" (rolling update, proportional scaling).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Bounds(msgspec.Struct, frozen=True):
    replicas: int
    max_surge: int
    max_unavailable: int


class Share(msgspec.Struct, frozen=True):
    """One ReplicaSet: pods asked for, and how many of them are available (never more than asked for)."""

    replicas: int
    available: int


def bounds(replicas: int, max_surge: int | str | None, max_unavailable: int | str | None) -> Bounds:
    """Resolves percentages: surge rounds up, unavailable down; both zero would stand still, so one may be missing."""
    surge = _resolve(max_surge, replicas, up=True)
    unavailable = _resolve(max_unavailable, replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Bounds(replicas, surge, min(unavailable, replicas))


def new_replicas(bound: Bounds, new: int, old: Sequence[int]) -> int:
    """What the new ReplicaSet may ask for now."""
    if new > bound.replicas:
        return bound.replicas
    room = bound.replicas + bound.max_surge - new - sum(old)
    return new + max(0, min(room, bound.replicas - new))


def old_replicas(bound: Bounds, new: Share, old: Sequence[Share]) -> list[int]:
    """What each old ReplicaSet, oldest first, may keep. Pods that are not available go first: they cost nothing."""
    least = bound.replicas - bound.max_unavailable
    kept = [share.replicas for share in old]
    # A new pod that is not there yet is still owed; what was asked for and is not needed can go.
    budget = new.available + sum(kept) - least
    for index, share in enumerate(old):
        gone = max(0, min(budget, share.replicas - share.available))
        kept[index] -= gone
        budget -= gone
    spare = new.available + sum(share.available for share in old) - least
    for index, share in enumerate(old):
        gone = max(0, min(budget, spare, min(share.available, kept[index])))
        kept[index] -= gone
        budget -= gone
        spare -= gone
    return kept


def proportional(bound: Bounds, shares: Sequence[int], largest_totals: Sequence[int]) -> list[int]:
    """Spreads a new total over the ReplicaSets of an unfinished rollout, in proportion to what each has.

    ``largest_totals``: the total (replicas + surge) that each share was cut from. The largest share takes the rest.
    """
    if bound.replicas == 0:
        return [0] * len(shares)
    total = bound.replicas + bound.max_surge
    missing = total - sum(shares)
    result = list(shares)
    left = missing
    order = sorted(range(len(shares)), key=lambda index: -shares[index])
    for index in order:
        fraction = round(shares[index] * total / max(1, largest_totals[index])) - shares[index]
        step = max(0, min(fraction, left)) if missing > 0 else min(0, max(fraction, left))
        result[index] += step
        left -= step
    if order:
        result[order[0]] = max(0, result[order[0]] + left)
    return result


def _resolve(value: int | str | None, total: int, *, up: bool) -> int:
    if value is None:
        return 0
    if isinstance(value, int):
        return max(0, value)
    text = value.removesuffix("%")
    if not value.endswith("%") or not text.isdigit() or len(text) > 4:
        return 0
    hundredths = int(text) * total
    return -(-hundredths // 100) if up else hundredths // 100
