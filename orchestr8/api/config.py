"""config"""

from __future__ import annotations

from typing import Annotated

from orchestr8.api.fields import Noun, Time, about, always, empty
from orchestr8.api.meta import LocalObjectReference, Object, ObjectMeta, ObjectReference


class NamespaceSpec(Noun, frozen=True, kw_only=True):
    """NamespaceSpec."""

    finalizers: Annotated[tuple[str, ...], about("")] = ()


class NamespaceCondition(Noun, frozen=True, kw_only=True):
    """NamespaceCondition."""

    type: Annotated[str, about("")] = always("")
    status: Annotated[str, about("")] = always("")
    last_transition_time: Annotated[Time | None, about("")] = None
    message: Annotated[str | None, about("")] = None
    reason: Annotated[str | None, about("")] = None


class NamespaceStatus(Noun, frozen=True, kw_only=True):
    """NamespaceStatus."""

    conditions: Annotated[tuple[NamespaceCondition, ...], about("", merge_key="type")] = ()
    phase: Annotated[str | None, about("")] = None


class Namespace(Object, frozen=True, kw_only=True):
    """Namespace."""

    api_version: str = always("v1")
    kind: str = always("Namespace")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    spec: Annotated[NamespaceSpec, about("")] = empty(NamespaceSpec)
    status: Annotated[NamespaceStatus, about("")] = empty(NamespaceStatus)


class ConfigMap(Object, frozen=True, kw_only=True):
    """ConfigMap."""

    api_version: str = always("v1")
    kind: str = always("ConfigMap")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    binary_data: Annotated[dict[str, bytes], about("")] = {}
    data: Annotated[dict[str, str], about("")] = {}
    immutable: Annotated[bool | None, about("", zero_matters=True)] = None


class Secret(Object, frozen=True, kw_only=True):
    """Secret."""

    api_version: str = always("v1")
    kind: str = always("Secret")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    data: Annotated[dict[str, bytes], about("")] = {}
    immutable: Annotated[bool | None, about("", zero_matters=True)] = None
    string_data: Annotated[dict[str, str], about("")] = {}
    type: Annotated[str | None, about("")] = None


class ServiceAccount(Object, frozen=True, kw_only=True):
    """ServiceAccount."""

    api_version: str = always("v1")
    kind: str = always("ServiceAccount")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    automount_service_account_token: Annotated[bool | None, about("", zero_matters=True)] = None
    image_pull_secrets: Annotated[tuple[LocalObjectReference, ...], about("")] = ()
    secrets: Annotated[tuple[ObjectReference, ...], about("", merge_key="name")] = ()
