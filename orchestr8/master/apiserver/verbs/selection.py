"""Which objects a list, watch or deletecollection means: label selector, field selector, and how fresh they must be."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from orchestr8.api import kinds, selectors
from orchestr8.api.kinds import Kind
from orchestr8.api.meta import Object
from orchestr8.api.selectors import FieldTerm, Selector
from orchestr8.errors import BadRequest, Expired
from orchestr8.master.apiserver.deps import Store
from orchestr8.master.apiserver.messages import Query
from orchestr8.master.apiserver.routes import Target
from orchestr8.store.stored import Stored
from orchestr8.store.view import View

_SLICE = 500  # objects looked at before others may run


@dataclass(frozen=True, slots=True)
class Selection:
    kind: Kind
    namespace: str | None
    labels: Selector
    fields: tuple[FieldTerm, ...]

    @property
    def everything(self) -> bool:
        return not self.fields and not self.labels.requirements

    def equals(self, field: str) -> str:
        """The value that ``field`` must have; "" when the selection does not say."""
        return next((term.value for term in self.fields if term.field == field and not term.negated), "")

    def matches(self, obj: Object) -> bool:
        if self.namespace is not None and obj.metadata.namespace != self.namespace:
            return False
        return self.matches_content(obj)

    def matches_content(self, obj: Object) -> bool:
        return self.labels.matches(obj.metadata.labels) and (
            not self.fields or kinds.matches_field_selector(self.kind, obj, self.fields)
        )

    async def of(self, view: View) -> list[Stored]:
        """The stored objects that are meant, by (namespace, name). Uses ``view`` before its first await only.

        Objects are frozen, so that a long search may let others run in between and still answer for one moment.
        """
        found = self._candidates(view)
        if self.everything:
            return found
        chosen: list[Stored] = []
        for start in range(0, len(found), _SLICE):
            if start:
                await trio.lowlevel.checkpoint()
            chosen += [each for each in found[start : start + _SLICE] if self.matches_content(each.obj)]
        return chosen

    def _narrow(self) -> bool:
        """The state's index of labels helps: some label must have one value."""
        return any(each.operator == "In" and len(each.values) == 1 for each in self.labels.requirements)

    def _candidates(self, view: View) -> list[Stored]:
        kind, name = self.kind.kind, self.equals("metadata.name")
        if name and (self.namespace is not None or not self.kind.namespaced):
            one = view.stored(kind, self.namespace or "", name)
            return [one] if one is not None else []
        if self.namespace is not None and self._narrow():
            return view.stored_matching(kind, self.namespace, self.labels)
        return view.stored_list(kind, self.namespace)


def selection(target: Target, query: Query) -> Selection:
    """Raises BadRequest for a selector that cannot be read or a field that the kind cannot be selected by."""
    fields = selectors.parse_fields(query.text("fieldSelector"))
    if target.name:
        fields = (*fields, FieldTerm("metadata.name", target.name))
    kinds.check_fields(target.kind, fields)
    return Selection(
        kind=target.kind,
        namespace=target.namespace or None,
        labels=selectors.parse_labels(query.text("labelSelector")),
        fields=fields,
    )


def parse_revision(text: str) -> int:
    """``resourceVersion`` as a number. Raises BadRequest."""
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise BadRequest(f"resourceVersion={text[:40]}: invalid resource version")
    return int(text)


async def catch_up(store: Store, revision: int) -> None:
    """Waits until this master has seen ``revision``, which another one may have told the client. Raises Expired."""
    if store.revision < revision:
        await store.read_barrier()
    if store.revision < revision:
        raise Expired(f"too large resource version: {revision}, current: {store.revision}: list again")
