"""Turns the notes of plans into Events (master/events.py), many in one transaction. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from orchestr8.api.meta import Object
from orchestr8.master.events import Regarding, Said, recorded
from orchestr8.master.steps import Step, transaction
from orchestr8.names import Names
from orchestr8.store.command import Key, Txn
from orchestr8.store.plan import Note
from orchestr8.store.view import View


def record(view: View, notes: Iterable[tuple[str, Note]], now: datetime, names: Names) -> Txn:
    """One transaction for all notes; ``notes``: (name of the controller, note). Without writes when none counts.

    A note that comes twice before it is written counts once.
    """
    steps: dict[Key, Step] = {}
    for component, note in notes:
        said = Said(_regarding(note.regarding), note.type, note.reason, note.message)
        step = recorded(view, said, component=component, host="", now=now, uid=names.uid())
        if step is not None:
            steps[step.writes[0].key] = step
    return transaction(names.uid(), list(steps.values()))


def _regarding(obj: Object) -> Regarding:
    meta = obj.metadata
    return Regarding(kind=obj.kind, name=meta.name, namespace=meta.namespace, uid=meta.uid, api_version=obj.api_version)
