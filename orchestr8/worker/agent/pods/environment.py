"""The environment of a container: values, ConfigMaps, Secrets, fields of the pod and its resources. Pure.

Later entries win over earlier ones, ``env`` over ``envFrom``. ``$(NAME)`` stands for a variable defined before and
``$$`` for a dollar sign; an unknown name is left as it is. Source: Kubernetes, EnvVar reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from math import ceil
from typing import Protocol

from orchestr8.api import quantity
from orchestr8.api.config import ConfigMap, Secret
from orchestr8.api.pod import Container, EnvVar, ObjectFieldSelector, Pod, ResourceFieldSelector
from orchestr8.errors import Orchestr8Error

_REFERENCE = re.compile(r"\$(?:\$|\(([^()$]*)\))")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class ConfigMissing(Orchestr8Error):
    """A ConfigMap, Secret or key that the pod refers to is not there; shown as CreateContainerConfigError."""

    code = "ConfigMissing"


class Lookup(Protocol):
    """What the pod may refer to; None: not there (yet)."""

    def config_map(self, namespace: str, name: str) -> ConfigMap | None: ...
    def secret(self, namespace: str, name: str) -> Secret | None: ...


def environment(
    pod: Pod, container: Container, lookup: Lookup, *, pod_ip: str, node_ip: str, allocatable: Mapping[str, str]
) -> dict[str, str]:
    """``allocatable``: the node's, for limits that are not set. Raises ConfigMissing."""
    found: dict[str, str] = {}
    for source in container.env_from:
        found |= {f"{source.prefix or ''}{key}": value for key, value in _all_of(pod, source, lookup).items()}
    for variable in container.env:
        value = _value(pod, container, variable, lookup, pod_ip, node_ip, allocatable)
        if value is not None:
            found[variable.name] = expand(value, found) if variable.value_from is None else value
    return found


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replaces ``$(NAME)`` where NAME is known and ``$$`` by ``$``."""

    def replaced(found: re.Match[str]) -> str:
        return "$" if found[1] is None else variables.get(found[1], found[0])

    return _REFERENCE.sub(replaced, text)


def field(pod: Pod, selector: ObjectFieldSelector, *, pod_ip: str, node_ip: str) -> str:
    """A field of the pod by the paths that Kubernetes allows. Raises ConfigMissing for another."""
    path, meta = selector.field_path, pod.metadata
    plain = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "spec.nodeName": pod.spec.node_name or "",
        "spec.serviceAccountName": pod.spec.service_account_name or "default",
        "status.hostIP": node_ip,
        "status.hostIPs": node_ip,
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
    }
    if path in plain:
        return plain[path]
    found = _SUBSCRIPT.fullmatch(path)
    if found is None:
        raise ConfigMissing(f"fieldRef {path!r} is not a field that a container can be given")
    return (meta.labels if found[1] == "labels" else meta.annotations).get(found[2], "")


def resource_field(
    pod: Pod, container: Container, selector: ResourceFieldSelector, allocatable: Mapping[str, str]
) -> str:
    """``limits.cpu`` and the like in units of the divisor, rounded up; an absent limit is what the node can give."""
    if selector.container_name and selector.container_name != container.name:
        everyone = (*pod.spec.init_containers, *pod.spec.containers)
        named = next((other for other in everyone if other.name == selector.container_name), None)
        if named is None:
            raise ConfigMissing(f"resourceFieldRef names container {selector.container_name!r}, which the pod lacks")
        container = named
    group, _, name = selector.resource.partition(".")
    resources = container.resources
    given = {"limits": resources.limits, "requests": resources.requests}.get(group, {}) if resources else {}
    text = given.get(name) or (resources.limits.get(name) if resources and group == "requests" else None)
    if text is None:
        text = allocatable.get(name, "0") if group == "limits" else "0"
    divisor = quantity.parse(selector.divisor or "1") or Fraction(1)
    return str(ceil(quantity.parse(text) / divisor))


def _all_of(pod: Pod, source: object, lookup: Lookup) -> Mapping[str, str]:
    namespace = pod.metadata.namespace
    reference = getattr(source, "config_map_ref", None)
    if reference is not None:
        config_map = lookup.config_map(namespace, reference.name or "")
        if config_map is not None:
            return config_map.data
        return _absent(f"configmap {reference.name!r} not found", reference.optional)
    reference = getattr(source, "secret_ref", None)
    if reference is None:
        return {}
    secret = lookup.secret(namespace, reference.name or "")
    if secret is not None:
        return {key: value.decode(errors="replace") for key, value in secret.data.items()}
    return _absent(f"secret {reference.name!r} not found", reference.optional)


def _absent(message: str, optional: bool | None) -> Mapping[str, str]:
    if not optional:
        raise ConfigMissing(message)
    return {}


def _value(
    pod: Pod,
    container: Container,
    variable: EnvVar,
    lookup: Lookup,
    pod_ip: str,
    node_ip: str,
    allocatable: Mapping[str, str],
) -> str | None:
    source, namespace = variable.value_from, pod.metadata.namespace
    if source is None:
        return variable.value or ""
    if source.field_ref is not None:
        return field(pod, source.field_ref, pod_ip=pod_ip, node_ip=node_ip)
    if source.resource_field_ref is not None:
        return resource_field(pod, container, source.resource_field_ref, allocatable)
    if source.config_map_key_ref is not None:
        wanted = source.config_map_key_ref
        config_map = lookup.config_map(namespace, wanted.name or "")
        data = None if config_map is None else config_map.data.get(wanted.key)
        return _one(data, f"configmap {wanted.name!r}", wanted.key, config_map is None, wanted.optional)
    if source.secret_key_ref is not None:
        key = source.secret_key_ref
        secret = lookup.secret(namespace, key.name or "")
        raw = None if secret is None else secret.data.get(key.key)
        text = None if raw is None else raw.decode(errors="replace")
        return _one(text, f"secret {key.name!r}", key.key, secret is None, key.optional)
    raise ConfigMissing(f"env {variable.name!r}: this kind of valueFrom is not supported")


def _one(value: str | None, what: str, key: str, missing: bool, optional: bool | None) -> str | None:
    if value is None and not optional:
        raise ConfigMissing(f"{what} not found" if missing else f"couldn't find key {key} in {what}")
    return value
