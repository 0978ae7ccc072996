"""meta"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeVar

import msgspec

from orchestr8.api.fields import Int32, Int64, Noun, Time, about, always, empty


class OwnerReference(Noun, frozen=True, kw_only=True):
    """OwnerReference."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str, about("")] = always("")
    api_version: Annotated[str, about("")] = always("")
    block_owner_deletion: Annotated[bool | None, about("", zero_matters=True)] = None
    controller: Annotated[bool | None, about("", zero_matters=True)] = None
    kind: Annotated[str, about("")] = always("")
    uid: Annotated[str, about("")] = always("")


class ObjectMeta(Noun, frozen=True, kw_only=True):
    """ObjectMeta."""

    annotations: Annotated[dict[str, str], about("")] = {}
    creation_timestamp: Annotated[Time | None, about("")] = None
    deletion_grace_period_seconds: Annotated[Int64 | None, about("", zero_matters=True)] = None
    deletion_timestamp: Annotated[Time | None, about("")] = None
    finalizers: Annotated[tuple[str, ...], about("", list_type="set", strategy="merge")] = ()
    generate_name: Annotated[str | None, about("")] = None
    generation: Annotated[Int64 | None, about("")] = None
    labels: Annotated[dict[str, str], about("")] = {}
    managed_fields: Annotated[tuple[dict[str, Any], ...], about("")] = ()
    name: Annotated[str, about("")] = ""
    namespace: Annotated[str, about("")] = ""
    owner_references: Annotated[tuple[OwnerReference, ...], about("", merge_key="uid")] = ()
    resource_version: Annotated[str | None, about("")] = None
    self_link: Annotated[str | None, about("")] = None
    uid: Annotated[str, about("")] = ""


class ListMeta(Noun, frozen=True, kw_only=True):
    """ListMeta."""

    continue_: Annotated[str | None, about("")] = None
    remaining_item_count: Annotated[Int64 | None, about("")] = None
    resource_version: Annotated[str | None, about("")] = None
    self_link: Annotated[str | None, about("")] = None
    shard_info: Annotated[dict[str, Any] | None, about("")] = None


class LabelSelectorRequirement(Noun, frozen=True, kw_only=True):
    """LabelSelectorRequirement."""

    key: Annotated[str, about("")] = always("")
    operator: Annotated[str, about("")] = always("")
    values: Annotated[tuple[str, ...], about("")] = ()


class LabelSelector(Noun, frozen=True, kw_only=True):
    """LabelSelector."""

    ATOMIC: ClassVar[bool] = True

    match_expressions: Annotated[tuple[LabelSelectorRequirement, ...], about("")] = ()
    match_labels: Annotated[dict[str, str], about("")] = {}


class Condition(Noun, frozen=True, kw_only=True):
    """Condition."""

    type: Annotated[str, about("")] = always("")
    status: Annotated[str, about("")] = always("")
    last_transition_time: Annotated[Time | None, about("")] = None
    message: Annotated[str, about("")] = always("")
    observed_generation: Annotated[Int64 | None, about("")] = None
    reason: Annotated[str, about("")] = always("")


class StatusCause(Noun, frozen=True, kw_only=True):
    """StatusCause."""

    field: Annotated[str | None, about("")] = None
    message: Annotated[str | None, about("")] = None
    reason: Annotated[str | None, about("")] = None


class StatusDetails(Noun, frozen=True, kw_only=True):
    """StatusDetails."""

    causes: Annotated[tuple[StatusCause, ...], about("")] = ()
    group: Annotated[str | None, about("")] = None
    kind: Annotated[str | None, about("")] = None
    name: Annotated[str | None, about("")] = None
    retry_after_seconds: Annotated[Int32 | None, about("")] = None
    uid: Annotated[str | None, about("")] = None


class Status(Noun, frozen=True, kw_only=True):
    """Status."""

    api_version: str = always("v1")
    kind: str = always("Status")
    metadata: Annotated[ListMeta, about("")] = empty(ListMeta)
    code: Annotated[Int32 | None, about("")] = None
    details: Annotated[StatusDetails | None, about("")] = None
    message: Annotated[str | None, about("")] = None
    reason: Annotated[str | None, about("")] = None
    status: Annotated[str | None, about("")] = None


class Preconditions(Noun, frozen=True, kw_only=True):
    """Preconditions."""

    resource_version: Annotated[str | None, about("", zero_matters=True)] = None
    uid: Annotated[str | None, about("", zero_matters=True)] = None


class DeleteOptions(Noun, frozen=True, kw_only=True):
    """DeleteOptions."""

    api_version: str = always("v1")
    kind: str = always("DeleteOptions")
    dry_run: Annotated[tuple[str, ...], about("")] = ()
    grace_period_seconds: Annotated[Int64 | None, about("", zero_matters=True)] = None
    ignore_store_read_error_with_cluster_breaking_potential: Annotated[bool | None, about("")] = None
    orphan_dependents: Annotated[bool | None, about("", zero_matters=True)] = None
    preconditions: Annotated[Preconditions | None, about("")] = None
    propagation_policy: Annotated[str | None, about("")] = None


class ObjectReference(Noun, frozen=True, kw_only=True):
    """ObjectReference."""

    ATOMIC: ClassVar[bool] = True

    api_version: Annotated[str | None, about("")] = None
    field_path: Annotated[str | None, about("")] = None
    kind: Annotated[str | None, about("")] = None
    name: Annotated[str | None, about("")] = None
    namespace: Annotated[str | None, about("")] = None
    resource_version: Annotated[str | None, about("")] = None
    uid: Annotated[str | None, about("")] = None


class LocalObjectReference(Noun, frozen=True, kw_only=True):
    """LocalObjectReference."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str | None, about("")] = None


class Object(Noun, frozen=True, kw_only=True):
    """What every kind has: its name and version, and metadata."""

    api_version: str = always("")
    kind: str = always("")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)


K = TypeVar("K", bound=Object)


def with_metadata(obj: K, **changes: Any) -> K:
    """``obj`` with some fields of its metadata replaced, such as ``labels={...}`` or ``uid="..."``."""
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, **changes))


def owner_reference(owner: Object, controller: bool = True) -> OwnerReference:
    """The reference that a dependent of ``owner`` carries."""
    return OwnerReference(
        api_version=owner.api_version,
        kind=owner.kind,
        name=owner.metadata.name,
        uid=owner.metadata.uid,
        controller=controller,
        block_owner_deletion=True,
    )


def controller_of(obj: Object) -> OwnerReference | None:
    """The one owner that manages ``obj``, if it has one."""
    return next((owner for owner in obj.metadata.owner_references if owner.controller), None)


def object_reference(obj: Object) -> ObjectReference:
    """What an Event or an endpoint says to point at ``obj``."""
    return ObjectReference(
        api_version=obj.api_version,
        kind=obj.kind,
        name=obj.metadata.name,
        namespace=obj.metadata.namespace or None,
        uid=obj.metadata.uid or None,
        resource_version=obj.metadata.resource_version,
    )
