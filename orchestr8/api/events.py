"""Events: what happened to an object, for people. Source: the Kubernetes API reference, "Event"."""

from __future__ import annotations

from typing import Annotated

from orchestr8.api.fields import Int32, MicroTime, Noun, Time, about, always, empty
from orchestr8.api.meta import Object, ObjectMeta, ObjectReference


class EventSource(Noun, frozen=True, kw_only=True):
    """Who reported an event."""

    component: Annotated[str | None, about("Name of the program.")] = None
    host: Annotated[str | None, about("Node it runs on.")] = None


class EventSeries(Noun, frozen=True, kw_only=True):
    """An event that goes on happening."""

    count: Annotated[Int32 | None, about("How often it happened.")] = None
    last_observed_time: Annotated[MicroTime | None, about("When it happened last.")] = None


class Event(Object, frozen=True, kw_only=True):
    """Something that happened to an object. Kept for an hour."""

    api_version: str = always("v1")
    kind: str = always("Event")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    action: Annotated[str | None, about("What was done.")] = None
    count: Annotated[Int32 | None, about("How often it happened.")] = None
    event_time: Annotated[MicroTime | None, about("When it happened first.")] = None
    first_timestamp: Annotated[Time | None, about("When it happened first.")] = None
    involved_object: Annotated[ObjectReference, about("Whom it happened to.")] = empty(ObjectReference)
    last_timestamp: Annotated[Time | None, about("When it happened last.")] = None
    message: Annotated[str | None, about("What happened, for people.")] = None
    reason: Annotated[str | None, about("What happened, in one word.")] = None
    related: Annotated[ObjectReference | None, about("Another object that has to do with it.")] = None
    reporting_component: Annotated[str | None, about("Program that reported it.")] = None
    reporting_instance: Annotated[str | None, about("Which instance of that program.")] = None
    series: Annotated[EventSeries | None, about("Set when it goes on happening.")] = None
    source: Annotated[EventSource | None, about("Who reported it.")] = None
    type: Annotated[str | None, about("Normal or Warning.")] = None
