"""Namespace, ConfigMap, Secret and ServiceAccount. Source: the Kubernetes API reference."""

from __future__ import annotations

from typing import Annotated

from orchestr8.api.fields import Noun, Time, about, always, empty
from orchestr8.api.meta import LocalObjectReference, Object, ObjectMeta, ObjectReference


class NamespaceSpec(Noun, frozen=True, kw_only=True):
    """Who must let go of a namespace before it is gone."""

    finalizers: Annotated[
        tuple[str, ...],
        about("Who must let go of the object before it is gone; it is only marked for deletion until then."),
    ] = ()


class NamespaceCondition(Noun, frozen=True, kw_only=True):
    """One aspect of a namespace's state."""

    type: Annotated[str, about("What it is about.")] = always("")
    status: Annotated[str, about("True, False or Unknown.")] = always("")
    last_transition_time: Annotated[Time | None, about("When it changed last.")] = None
    message: Annotated[str | None, about("Explanation for people.")] = None
    reason: Annotated[str | None, about("Explanation in one word, for programs.")] = None


class NamespaceStatus(Noun, frozen=True, kw_only=True):
    """Where a namespace is in its life."""

    conditions: Annotated[
        tuple[NamespaceCondition, ...], about("Aspects of the state, one per type.", merge_key="type")
    ] = ()
    phase: Annotated[str | None, about("Active or Terminating.")] = None


class Namespace(Object, frozen=True, kw_only=True):
    """A scope for names. Deleting it deletes everything in it."""

    api_version: str = always("v1")
    kind: str = always("Namespace")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    spec: Annotated[NamespaceSpec, about("What is wanted.")] = empty(NamespaceSpec)
    status: Annotated[NamespaceStatus, about("What is so; written by the system, not by users.")] = empty(
        NamespaceStatus
    )


class ConfigMap(Object, frozen=True, kw_only=True):
    """Settings for pods, as text or bytes by key."""

    api_version: str = always("v1")
    kind: str = always("ConfigMap")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    binary_data: Annotated[dict[str, bytes], about("Bytes by key, in base64.")] = {}
    data: Annotated[dict[str, str], about("Texts by key.")] = {}
    immutable: Annotated[bool | None, about("Whether the data may never change again.", zero_matters=True)] = None


class Secret(Object, frozen=True, kw_only=True):
    """Confidential data for pods, by key."""

    api_version: str = always("v1")
    kind: str = always("Secret")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    data: Annotated[dict[str, bytes], about("Bytes by key, in base64.")] = {}
    immutable: Annotated[bool | None, about("Whether the data may never change again.", zero_matters=True)] = None
    string_data: Annotated[dict[str, str], about("Texts by key, for writing only; they end up in data.")] = {}
    type: Annotated[str | None, about("What the data is for; Opaque unless set.")] = None


class ServiceAccount(Object, frozen=True, kw_only=True):
    """An identity for processes in pods."""

    api_version: str = always("v1")
    kind: str = always("ServiceAccount")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    automount_service_account_token: Annotated[
        bool | None, about("Whether a token is put into the pod.", zero_matters=True)
    ] = None
    image_pull_secrets: Annotated[
        tuple[LocalObjectReference, ...], about("Secrets with credentials of registries.")
    ] = ()
    secrets: Annotated[
        tuple[ObjectReference, ...], about("Secrets that pods of this account may use.", merge_key="name")
    ] = ()
