"""events"""

from __future__ import annotations

from typing import Annotated

from orchestr8.api.fields import Int32, MicroTime, Noun, Time, about, always, empty
from orchestr8.api.meta import Object, ObjectMeta, ObjectReference


class EventSource(Noun, frozen=True, kw_only=True):
    """EventSource."""

    component: Annotated[str | None, about("")] = None
    host: Annotated[str | None, about("")] = None


class EventSeries(Noun, frozen=True, kw_only=True):
    """EventSeries."""

    count: Annotated[Int32 | None, about("")] = None
    last_observed_time: Annotated[MicroTime | None, about("")] = None


class Event(Object, frozen=True, kw_only=True):
    """Event."""

    api_version: str = always("v1")
    kind: str = always("Event")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    action: Annotated[str | None, about("")] = None
    count: Annotated[Int32 | None, about("")] = None
    event_time: Annotated[MicroTime | None, about("")] = None
    first_timestamp: Annotated[Time | None, about("")] = None
    involved_object: Annotated[ObjectReference, about("")] = empty(ObjectReference)
    last_timestamp: Annotated[Time | None, about("")] = None
    message: Annotated[str | None, about("")] = None
    reason: Annotated[str | None, about("")] = None
    related: Annotated[ObjectReference | None, about("")] = None
    reporting_component: Annotated[str | None, about("")] = None
    reporting_instance: Annotated[str | None, about("")] = None
    series: Annotated[EventSeries | None, about("")] = None
    source: Annotated[EventSource | None, about("")] = None
    type: Annotated[str | None, about("")] = None
