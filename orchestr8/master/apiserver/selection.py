"""Which objects a list, watch or deletecollection means: label selector, field selector, and how fresh they must be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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

    def of(self, view: View) -> list[Stored]:
        """The stored objects that are meant, by (namespace, name)."""
        name = self.equals("metadata.name")
        found: Iterable[Stored]
        if name and (self.namespace is not None or not self.kind.namespaced):
            one = view.stored(self.kind.kind, self.namespace or "", name)
            found = [one] if one is not None else []
        elif self.labels.requirements and self.namespace is not None:
            found = view.stored_matching(self.kind.kind, self.namespace, self.labels)
        else:
            found = view.stored_list(self.kind.kind, self.namespace)
        return list(found) if self.everything else [each for each in found if self.matches_content(each.obj)]


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
