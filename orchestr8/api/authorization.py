"""authorization"""

from __future__ import annotations

from typing import Annotated, Any

from orchestr8.api.fields import Noun, about, always, empty
from orchestr8.api.meta import LabelSelectorRequirement, Object, ObjectMeta


class FieldSelectorAttributes(Noun, frozen=True, kw_only=True):
    """FieldSelectorAttributes."""

    raw_selector: Annotated[str | None, about("")] = None
    requirements: Annotated[tuple[dict[str, Any], ...], about("")] = ()


class LabelSelectorAttributes(Noun, frozen=True, kw_only=True):
    """LabelSelectorAttributes."""

    raw_selector: Annotated[str | None, about("")] = None
    requirements: Annotated[tuple[LabelSelectorRequirement, ...], about("")] = ()


class ResourceAttributes(Noun, frozen=True, kw_only=True):
    """ResourceAttributes."""

    field_selector: Annotated[FieldSelectorAttributes | None, about("")] = None
    group: Annotated[str | None, about("")] = None
    label_selector: Annotated[LabelSelectorAttributes | None, about("")] = None
    name: Annotated[str | None, about("")] = None
    namespace: Annotated[str | None, about("")] = None
    resource: Annotated[str | None, about("")] = None
    subresource: Annotated[str | None, about("")] = None
    verb: Annotated[str | None, about("")] = None
    version: Annotated[str | None, about("")] = None


class NonResourceAttributes(Noun, frozen=True, kw_only=True):
    """NonResourceAttributes."""

    path: Annotated[str | None, about("")] = None
    verb: Annotated[str | None, about("")] = None


class SelfSubjectAccessReviewSpec(Noun, frozen=True, kw_only=True):
    """SelfSubjectAccessReviewSpec."""

    non_resource_attributes: Annotated[NonResourceAttributes | None, about("")] = None
    resource_attributes: Annotated[ResourceAttributes | None, about("")] = None


class SubjectAccessReviewStatus(Noun, frozen=True, kw_only=True):
    """SubjectAccessReviewStatus."""

    allowed: Annotated[bool, about("")] = always(False)
    denied: Annotated[bool | None, about("")] = None
    evaluation_error: Annotated[str | None, about("")] = None
    reason: Annotated[str | None, about("")] = None


class SelfSubjectAccessReview(Object, frozen=True, kw_only=True):
    """SelfSubjectAccessReview."""

    api_version: str = always("authorization.k8s.io/v1")
    kind: str = always("SelfSubjectAccessReview")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    spec: Annotated[SelfSubjectAccessReviewSpec, about("")] = empty(SelfSubjectAccessReviewSpec)
    status: Annotated[SubjectAccessReviewStatus, about("")] = empty(SubjectAccessReviewStatus)


class ResourceRule(Noun, frozen=True, kw_only=True):
    """ResourceRule."""

    api_groups: Annotated[tuple[str, ...], about("")] = ()
    resource_names: Annotated[tuple[str, ...], about("")] = ()
    resources: Annotated[tuple[str, ...], about("")] = ()
    verbs: Annotated[tuple[str, ...], about("")] = always(())


class NonResourceRule(Noun, frozen=True, kw_only=True):
    """NonResourceRule."""

    non_resource_urls: Annotated[tuple[str, ...], about("")] = ()
    verbs: Annotated[tuple[str, ...], about("")] = always(())


class SelfSubjectRulesReviewSpec(Noun, frozen=True, kw_only=True):
    """SelfSubjectRulesReviewSpec."""

    namespace: Annotated[str | None, about("")] = None


class SubjectRulesReviewStatus(Noun, frozen=True, kw_only=True):
    """SubjectRulesReviewStatus."""

    evaluation_error: Annotated[str | None, about("")] = None
    incomplete: Annotated[bool, about("")] = always(False)
    non_resource_rules: Annotated[tuple[NonResourceRule, ...], about("")] = always(())
    resource_rules: Annotated[tuple[ResourceRule, ...], about("")] = always(())


class SelfSubjectRulesReview(Object, frozen=True, kw_only=True):
    """SelfSubjectRulesReview."""

    api_version: str = always("authorization.k8s.io/v1")
    kind: str = always("SelfSubjectRulesReview")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    spec: Annotated[SelfSubjectRulesReviewSpec, about("")] = empty(SelfSubjectRulesReviewSpec)
    status: Annotated[SubjectRulesReviewStatus, about("")] = empty(SubjectRulesReviewStatus)


class UserInfo(Noun, frozen=True, kw_only=True):
    """UserInfo."""

    extra: Annotated[dict[str, tuple[str, ...]], about("")] = {}
    groups: Annotated[tuple[str, ...], about("")] = ()
    uid: Annotated[str | None, about("")] = None
    username: Annotated[str | None, about("")] = None


class SelfSubjectReviewStatus(Noun, frozen=True, kw_only=True):
    """SelfSubjectReviewStatus."""

    user_info: Annotated[UserInfo | None, about("")] = None


class SelfSubjectReview(Object, frozen=True, kw_only=True):
    """SelfSubjectReview."""

    api_version: str = always("authentication.k8s.io/v1")
    kind: str = always("SelfSubjectReview")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    status: Annotated[SelfSubjectReviewStatus, about("")] = empty(SelfSubjectReviewStatus)
