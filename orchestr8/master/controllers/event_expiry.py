"""Which Events are forgotten: those not seen for limits.EVENT_KEEP_SECONDS, and the oldest above limits.EVENTS_KEPT.

Source: Kubernetes keeps Events for an hour (kube-apiserver, event-ttl).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from orchestr8 import limits
from orchestr8.api.events import Event
from orchestr8.master.controllers.controller import Moment
from orchestr8.store.command import Key
from orchestr8.store.history import Change
from orchestr8.store.plan import NOTHING, Plan, Remove
from orchestr8.store.view import View

_ALL = Key("Event", "", "")
_REMOVED_AT_ONCE = 500
_LOOK_SECONDS = 60  # events are old or not; nobody needs to know to the second
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decide(view: View, key: Key, now: Moment) -> Plan:
    """All Events; ``key`` is always the same."""
    events = sorted(view.list(Event), key=last_seen)
    if not events:
        return NOTHING
    oldest_kept = now.wall - timedelta(seconds=limits.EVENT_KEEP_SECONDS)
    surplus = len(events) - limits.EVENTS_KEPT
    old = [each for index, each in enumerate(events) if index < surplus or last_seen(each) < oldest_kept]
    seconds = 0.0 if len(old) > _REMOVED_AT_ONCE else _LOOK_SECONDS
    return Plan(
        tuple(Remove(each) for each in old[:_REMOVED_AT_ONCE]),
        wake_at=now.wall + timedelta(seconds=seconds),
    )


def last_seen(event: Event) -> datetime:
    series = event.series.last_observed_time if event.series is not None else None
    return series or event.last_timestamp or event.event_time or event.metadata.creation_timestamp or _EPOCH


def affected(change: Change, view: View) -> Iterator[Key]:
    if change.before is None:
        yield _ALL


def everything(view: View) -> Iterable[Key]:
    return (_ALL,)
