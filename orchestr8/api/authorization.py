"""The reviews by which clients ask who they are and what they may do; answered, never stored.

Source: the Kubernetes API reference, "Authorization Resources" and "Authentication Resources".
"""

from __future__ import annotations

from typing import Annotated, Any

from orchestr8.api.fields import Noun, about, always, empty
from orchestr8.api.meta import LabelSelectorRequirement, Object, ObjectMeta


class FieldSelectorAttributes(Noun, frozen=True, kw_only=True):
    """Limits a review to objects with certain fields."""

    raw_selector: Annotated[str | None, about("The selector as text.")] = None
    requirements: Annotated[tuple[dict[str, Any], ...], about("The selector's conditions.")] = ()


class LabelSelectorAttributes(Noun, frozen=True, kw_only=True):
    """Limits a review to objects with certain labels."""

    raw_selector: Annotated[str | None, about("The selector as text.")] = None
    requirements: Annotated[tuple[LabelSelectorRequirement, ...], about("The selector's conditions.")] = ()


class ResourceAttributes(Noun, frozen=True, kw_only=True):
    """A request for a resource."""

    field_selector: Annotated[FieldSelectorAttributes | None, about("Only objects with these fields.")] = None
    group: Annotated[str | None, about("API group; empty for the core group.")] = None
    label_selector: Annotated[LabelSelectorAttributes | None, about("Only objects with these labels.")] = None
    name: Annotated[str | None, about("Name of the object; empty for all.")] = None
    namespace: Annotated[str | None, about("Namespace; empty for all, or for resources without one.")] = None
    resource: Annotated[str | None, about("Resource in the plural; * for all.")] = None
    subresource: Annotated[str | None, about("Subresource, such as log.")] = None
    verb: Annotated[
        str | None, about("What is done: get, list, watch, create, update, patch, delete, or * for all.")
    ] = None
    version: Annotated[str | None, about("Version; * for all.")] = None


class NonResourceAttributes(Noun, frozen=True, kw_only=True):
    """A request for a path that is no resource."""

    path: Annotated[str | None, about("Path of the URL.")] = None
    verb: Annotated[
        str | None, about("What is done: get, list, watch, create, update, patch, delete, or * for all.")
    ] = None


class SelfSubjectAccessReviewSpec(Noun, frozen=True, kw_only=True):
    """What the caller wants to do."""

    non_resource_attributes: Annotated[NonResourceAttributes | None, about("A request for a path.")] = None
    resource_attributes: Annotated[ResourceAttributes | None, about("A request for a resource.")] = None


class SubjectAccessReviewStatus(Noun, frozen=True, kw_only=True):
    """Whether it is allowed."""

    allowed: Annotated[bool, about("Whether it is allowed.")] = always(False)
    denied: Annotated[bool | None, about("Whether it is refused whatever others say.")] = None
    evaluation_error: Annotated[str | None, about("What went wrong while finding out.")] = None
    reason: Annotated[str | None, about("Explanation in one word, for programs.")] = None


class SelfSubjectAccessReview(Object, frozen=True, kw_only=True):
    """Asks whether the caller may do one thing."""

    api_version: str = always("authorization.k8s.io/v1")
    kind: str = always("SelfSubjectAccessReview")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    spec: Annotated[SelfSubjectAccessReviewSpec, about("What is wanted.")] = empty(SelfSubjectAccessReviewSpec)
    status: Annotated[SubjectAccessReviewStatus, about("What is so; written by the system, not by users.")] = empty(
        SubjectAccessReviewStatus
    )


class ResourceRule(Noun, frozen=True, kw_only=True):
    """What may be done with some resources."""

    api_groups: Annotated[tuple[str, ...], about("API groups; * for all.")] = ()
    resource_names: Annotated[tuple[str, ...], about("Names of objects; empty for all.")] = ()
    resources: Annotated[tuple[str, ...], about("Resources in the plural; * for all.")] = ()
    verbs: Annotated[tuple[str, ...], about("What may be done; * for all.")] = always(())


class NonResourceRule(Noun, frozen=True, kw_only=True):
    """What may be done with some paths."""

    non_resource_urls: Annotated[tuple[str, ...], about("Paths; * for all.")] = ()
    verbs: Annotated[tuple[str, ...], about("What may be done; * for all.")] = always(())


class SelfSubjectRulesReviewSpec(Noun, frozen=True, kw_only=True):
    """For which namespace the caller asks."""

    namespace: Annotated[str | None, about("Namespace to ask for.")] = None


class SubjectRulesReviewStatus(Noun, frozen=True, kw_only=True):
    """Everything the caller may do there."""

    evaluation_error: Annotated[str | None, about("What went wrong while finding out.")] = None
    incomplete: Annotated[bool, about("Whether there may be more rules than these.")] = always(False)
    non_resource_rules: Annotated[tuple[NonResourceRule, ...], about("Rules for paths.")] = always(())
    resource_rules: Annotated[tuple[ResourceRule, ...], about("Rules for resources.")] = always(())


class SelfSubjectRulesReview(Object, frozen=True, kw_only=True):
    """Asks what the caller may do in a namespace."""

    api_version: str = always("authorization.k8s.io/v1")
    kind: str = always("SelfSubjectRulesReview")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    spec: Annotated[SelfSubjectRulesReviewSpec, about("What is wanted.")] = empty(SelfSubjectRulesReviewSpec)
    status: Annotated[SubjectRulesReviewStatus, about("What is so; written by the system, not by users.")] = empty(
        SubjectRulesReviewStatus
    )


class UserInfo(Noun, frozen=True, kw_only=True):
    """Who somebody is."""

    extra: Annotated[dict[str, tuple[str, ...]], about("Further facts about the user.")] = {}
    groups: Annotated[tuple[str, ...], about("Groups the user is in.")] = ()
    uid: Annotated[str | None, about("Identity of the user.")] = None
    username: Annotated[str | None, about("Name of the user.")] = None


class SelfSubjectReviewStatus(Noun, frozen=True, kw_only=True):
    """Who the caller is."""

    user_info: Annotated[UserInfo | None, about("Who the caller is.")] = None


class SelfSubjectReview(Object, frozen=True, kw_only=True):
    """Asks who the caller is."""

    api_version: str = always("authentication.k8s.io/v1")
    kind: str = always("SelfSubjectReview")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    status: Annotated[SelfSubjectReviewStatus, about("What is so; written by the system, not by users.")] = empty(
        SelfSubjectReviewStatus
    )
