"""What all objects share: metadata, owners, label selectors, conditions, references, and the answer for failures.

Source: the Kubernetes API reference, "Common Definitions".
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeVar

import msgspec

from orchestr8.api.fields import Int32, Int64, Noun, Time, about, always, empty


class OwnerReference(Noun, frozen=True, kw_only=True):
    """An owner of an object. When all owners are gone, the object is removed too."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str, about("Name of the owner.")] = always("")
    api_version: Annotated[str, about("Group and version of the owner.")] = always("")
    block_owner_deletion: Annotated[
        bool | None,
        about("Whether the owner, deleted in the foreground, waits for this object to go first.", zero_matters=True),
    ] = None
    controller: Annotated[
        bool | None, about("Whether this owner manages the object; at most one does.", zero_matters=True)
    ] = None
    kind: Annotated[str, about("Kind of the owner.")] = always("")
    uid: Annotated[str, about("Uid of the owner.")] = always("")


class ObjectMeta(Noun, frozen=True, kw_only=True):
    """Metadata that every stored object has."""

    annotations: Annotated[dict[str, str], about("Texts by key, for tools and people; not for selecting.")] = {}
    creation_timestamp: Annotated[Time | None, about("When the object was made.")] = None
    deletion_grace_period_seconds: Annotated[
        Int64 | None,
        about("How many seconds the object has to end, once it is marked for deletion.", zero_matters=True),
    ] = None
    deletion_timestamp: Annotated[
        Time | None, about("When the object is to be gone; set by a deletion that must wait.")
    ] = None
    finalizers: Annotated[
        tuple[str, ...],
        about(
            "Who must let go of the object before it is gone; it is only marked for deletion until then.",
            list_type="set",
            strategy="merge",
        ),
    ] = ()
    generate_name: Annotated[str | None, about("Prefix of a name that the server completes, when name is not set.")] = (
        None
    )
    generation: Annotated[Int64 | None, about("Counts the changes of the spec.")] = None
    labels: Annotated[dict[str, str], about("Short texts by key, for selecting objects.")] = {}
    managed_fields: Annotated[tuple[dict[str, Any], ...], about("Who manages which fields.")] = ()
    name: Annotated[str, about("Name, unique in its place.")] = ""
    namespace: Annotated[str, about("Namespace of the object.")] = ""
    owner_references: Annotated[tuple[OwnerReference, ...], about("Objects this one belongs to.", merge_key="uid")] = ()
    resource_version: Annotated[str | None, about("Revision of the last write; opaque to clients.")] = None
    self_link: Annotated[str | None, about("Not used any more.")] = None
    uid: Annotated[str, about("Identity that is never used again, even under the same name.")] = ""


class ListMeta(Noun, frozen=True, kw_only=True):
    """Metadata of a list."""

    continue_: Annotated[str | None, about("Token to ask for the rest of the list with.")] = None
    remaining_item_count: Annotated[Int64 | None, about("How many objects the list leaves out.")] = None
    resource_version: Annotated[str | None, about("Revision of the last write; opaque to clients.")] = None
    self_link: Annotated[str | None, about("Not used any more.")] = None
    shard_info: Annotated[dict[str, Any] | None, about("Which part of a list in parts this is.")] = None


class LabelSelectorRequirement(Noun, frozen=True, kw_only=True):
    """One condition on labels."""

    key: Annotated[str, about("Key.")] = always("")
    operator: Annotated[str, about("How the values are compared: In, NotIn, Exists or DoesNotExist.")] = always("")
    values: Annotated[tuple[str, ...], about("Values to compare with.")] = ()


class LabelSelector(Noun, frozen=True, kw_only=True):
    """Conditions on labels, all of which must hold. An empty selector matches everything."""

    ATOMIC: ClassVar[bool] = True

    match_expressions: Annotated[
        tuple[LabelSelectorRequirement, ...], about("Conditions, all of which must hold.")
    ] = ()
    match_labels: Annotated[dict[str, str], about("Labels with the values they must have.")] = {}


class Condition(Noun, frozen=True, kw_only=True):
    """One observed aspect of an object's state."""

    type: Annotated[str, about("What it is about.")] = always("")
    status: Annotated[str, about("True, False or Unknown.")] = always("")
    last_transition_time: Annotated[Time | None, about("When it changed last.")] = None
    message: Annotated[str, about("Explanation for people.")] = always("")
    observed_generation: Annotated[Int64 | None, about("The generation of the spec that this was computed from.")] = (
        None
    )
    reason: Annotated[str, about("Explanation in one word, for programs.")] = always("")


class StatusCause(Noun, frozen=True, kw_only=True):
    """One complaint about one field."""

    field: Annotated[str | None, about("The field it is about, as a path.")] = None
    message: Annotated[str | None, about("Explanation for people.")] = None
    reason: Annotated[str | None, about("Explanation in one word, for programs.")] = None


class StatusDetails(Noun, frozen=True, kw_only=True):
    """More about a failure: what it concerns and every single cause."""

    causes: Annotated[tuple[StatusCause, ...], about("Every single complaint.")] = ()
    group: Annotated[str | None, about("Group of the object.")] = None
    kind: Annotated[str | None, about("Kind of the object.")] = None
    name: Annotated[str | None, about("Name of the object.")] = None
    retry_after_seconds: Annotated[Int32 | None, about("After how many seconds to try again.")] = None
    uid: Annotated[str | None, about("Identity that is never used again, even under the same name.")] = None


class Status(Noun, frozen=True, kw_only=True):
    """The answer to a request that returns no object, above all a failed one."""

    api_version: str = always("v1")
    kind: str = always("Status")
    metadata: Annotated[ListMeta, about("Metadata of a list; empty.")] = empty(ListMeta)
    code: Annotated[Int32 | None, about("HTTP status code.")] = None
    details: Annotated[StatusDetails | None, about("More about the failure.")] = None
    message: Annotated[str | None, about("Explanation for people.")] = None
    reason: Annotated[str | None, about("Explanation in one word, for programs.")] = None
    status: Annotated[str | None, about("Success or Failure.")] = None


class Preconditions(Noun, frozen=True, kw_only=True):
    """What must hold for an operation to be carried out."""

    resource_version: Annotated[str | None, about("Revision that the object must have.", zero_matters=True)] = None
    uid: Annotated[str | None, about("Uid that the object must have.", zero_matters=True)] = None


class DeleteOptions(Noun, frozen=True, kw_only=True):
    """How an object is to be deleted."""

    api_version: str = always("v1")
    kind: str = always("DeleteOptions")
    dry_run: Annotated[tuple[str, ...], about("All: do everything but write.")] = ()
    grace_period_seconds: Annotated[
        Int64 | None, about("How many seconds the object has to end; 0: at once.", zero_matters=True)
    ] = None
    ignore_store_read_error_with_cluster_breaking_potential: Annotated[
        bool | None, about("Delete even what cannot be read.")
    ] = None
    orphan_dependents: Annotated[
        bool | None, about("Older form of propagationPolicy: leave dependents alone.", zero_matters=True)
    ] = None
    preconditions: Annotated[Preconditions | None, about("What must hold for the deletion.")] = None
    propagation_policy: Annotated[
        str | None, about("What happens to dependents: Background, Foreground or Orphan.")
    ] = None


class ObjectReference(Noun, frozen=True, kw_only=True):
    """Points at another object."""

    ATOMIC: ClassVar[bool] = True

    api_version: Annotated[str | None, about("Group and version of the object's schema.")] = None
    field_path: Annotated[str | None, about("The part of the object, such as spec.containers{web}.")] = None
    kind: Annotated[str | None, about("Kind of the object.")] = None
    name: Annotated[str | None, about("Name of the object.")] = None
    namespace: Annotated[str | None, about("Namespace of the object.")] = None
    resource_version: Annotated[str | None, about("Revision of the last write; opaque to clients.")] = None
    uid: Annotated[str | None, about("Identity that is never used again, even under the same name.")] = None


class LocalObjectReference(Noun, frozen=True, kw_only=True):
    """Points at an object in the same namespace."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str | None, about("Name, unique in its place.")] = None


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
