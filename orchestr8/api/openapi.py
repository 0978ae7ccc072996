"""The OpenAPI v3 documents of the API, made from the models. Pure; one document per group and version.

Enough for ``kubectl explain`` (schemas with descriptions), ``kubectl apply`` and Helm (one path per kind whose PATCH
names fieldValidation, by which clients learn that the server checks fields). Source: the Kubernetes page "OpenAPI".
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import Any

import msgspec

from orchestr8 import __version__
from orchestr8.api import kinds, meta
from orchestr8.api.fields import Noun
from orchestr8.api.kinds import Kind
from orchestr8.api.pod import PodTemplateSpec
from orchestr8.api.shape import Field, Shape, fields_of, is_atomic, reachable

_META_GROUP = "io.k8s.apimachinery.pkg.apis.meta.v1"
_HOMES = {
    "autoscaling": "io.k8s.api.autoscaling.v1",
    "": "io.k8s.api.core.v1",
    "apps": "io.k8s.api.apps.v1",
    "authentication.k8s.io": "io.k8s.api.authentication.v1",
    "authorization.k8s.io": "io.k8s.api.authorization.v1",
    "coordination.k8s.io": "io.k8s.api.coordination.v1",
    "discovery.k8s.io": "io.k8s.api.discovery.v1",
    "policy": "io.k8s.api.policy.v1",
}
_SCALARS: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "time": {"type": "string", "format": "date-time"},
    "bytes": {"type": "string", "format": "byte"},
    "quantity": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity"},
    "int-or-string": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.util.intstr.IntOrString"},
}
# Scalars with a schema of their own, so that clients call them by their names.
_NAMED_SCALARS: dict[str, dict[str, Any]] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {
        "description": "An amount with an optional unit, such as 500m, 2 or 128Mi.",
        "oneOf": [{"type": "string"}, {"type": "number"}],
    },
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "description": "A number, or a text such as a port's name or a percentage.",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
        "format": "int-or-string",
    },
}
_PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)


def group_versions() -> tuple[tuple[str, str], ...]:
    """Every (group, version) that has a document."""
    return kinds.group_versions()


def index() -> dict[str, Any]:
    """The answer of ``/openapi/v3``: where each document is, with a hash of its content by which clients keep it."""
    places = {_place(group, version): _hash(group, version) for group, version in group_versions()}
    return {
        "paths": {place: {"serverRelativeURL": f"/openapi/v3/{place}?hash={hash_}"} for place, hash_ in places.items()}
    }


@cache
def document(group: str, version: str) -> dict[str, Any]:
    """The OpenAPI v3 document of one group and version. Raises KeyError for one that is not served.

    The same object is given to every caller: encode it, do not change it.
    """
    served = [kind for kind in kinds.KINDS if (kind.group, kind.version) == (group, version)]
    if not served:
        raise KeyError(f"{group}/{version}")
    roots: list[type[Noun]] = [kind.cls for kind in served]
    roots += [sub.cls for kind in served for sub in kind.subresources if sub.cls is not None]
    schemas = {_name(cls): _schema(cls) for cls in reachable([*roots, meta.DeleteOptions, meta.Status])}
    schemas |= {f"{_name(kind.cls)}List": _list_schema(kind) for kind in served if kind.stored}
    schemas |= _NAMED_SCALARS
    return {
        "openapi": "3.0.0",
        "info": {"title": "orchestr8", "version": __version__},
        "paths": {path: item for kind in served for path, item in _paths(kind).items()},
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


def _place(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


@cache
def _hash(group: str, version: str) -> str:
    return sha256(msgspec.json.encode(document(group, version))).hexdigest().upper()


# -- schemas ---------------------------------------------------------------------------------------


@cache
def _name(cls: type[Noun]) -> str:
    """The name clients know a model by, such as ``io.k8s.api.core.v1.Pod``."""
    module = cls.__module__.rpartition(".")[2]
    if module == "meta" and cls not in (meta.ObjectReference, meta.LocalObjectReference):
        home = _META_GROUP
    else:
        home = _HOMES[_group_of(cls)]
    return f"{home}.{_SPELLED.get(cls.__name__, cls.__name__)}"


_SPELLED = {"SliceEndpointPort": "EndpointPort"}


@cache
def _owners() -> dict[type[Noun], str]:
    """Each model -> the group it is defined in: that of the kind that reaches it, core for what several reach."""
    owners: dict[type[Noun], str] = {}
    roots: list[tuple[str, type[Noun]]] = [("", PodTemplateSpec)]
    roots += [(kind.group, kind.cls) for kind in kinds.KINDS]
    roots += [(sub.group, sub.cls) for kind in kinds.KINDS for sub in kind.subresources if sub.cls is not None]
    for group, root in sorted(roots, key=lambda entry: entry[0]):  # core first
        for cls in reachable([root]):
            owners.setdefault(cls, group)
    return owners


def _group_of(cls: type[Noun]) -> str:
    return _owners().get(cls, "")


def _schema(cls: type[Noun]) -> dict[str, Any]:
    fields = fields_of(cls)
    schema: dict[str, Any] = {
        "description": (cls.__doc__ or "").strip(),
        "type": "object",
        "properties": {field.name: _property(field) for field in fields.values()},
    }
    kind = next((kind for kind in kinds.KINDS if kind.cls is cls), None)
    identity = [_identity(kind)] if kind is not None else _body_identity(cls)
    if identity:
        schema["x-kubernetes-group-version-kind"] = identity
    else:
        required = [field.name for field in fields.values() if field.required]
        if required:
            schema["required"] = required
    if is_atomic(cls):
        schema["x-kubernetes-map-type"] = "atomic"
    return schema


def _body_identity(cls: type[Noun]) -> list[dict[str, str]]:
    """Bodies that are no kind of their own; DeleteOptions belong to every group."""
    if cls is meta.DeleteOptions:
        return [
            {"group": group, "kind": "DeleteOptions", "version": version} for group, version in kinds.group_versions()
        ]
    if cls is meta.Status:
        return [{"group": "", "kind": "Status", "version": "v1"}]
    for name, body in kinds.BODIES.items():
        if body is cls:
            group, _, version = body().api_version.rpartition("/")  # type: ignore[attr-defined]
            return [{"group": group, "kind": name, "version": version}]
    return []


def _identity(kind: Kind) -> dict[str, str]:
    return {"group": kind.group, "kind": kind.kind, "version": kind.version}


def _property(field: Field) -> dict[str, Any]:
    value = _value(field.shape)
    if "$ref" in value:  # what stands beside a $ref is ignored
        value = {"allOf": [value]}
    value["description"] = field.description or _COMMON.get(field.name, "")
    if field.shape.form == "list":
        value["x-kubernetes-list-type"] = field.list_type or "atomic"
        if field.map_keys and field.list_type == "map":
            value["x-kubernetes-list-map-keys"] = list(field.map_keys)
    if field.merge_key is not None:
        value["x-kubernetes-patch-merge-key"] = field.merge_key
    if field.strategy is not None:
        value["x-kubernetes-patch-strategy"] = field.strategy
    if field.atomic:
        value["x-kubernetes-map-type"] = "atomic"
    return value


def _value(shape: Shape) -> dict[str, Any]:
    match shape.form:
        case "object":
            assert shape.cls is not None
            return {"$ref": _reference(_name(shape.cls))}
        case "list":
            assert shape.item is not None
            return {"type": "array", "items": _value(shape.item)}
        case "map":
            assert shape.item is not None
            return {"type": "object", "additionalProperties": _value(shape.item)}
        case "free":
            return {"type": "object"}
    return dict(_SCALARS[shape.scalar])


def _reference(name: str) -> str:
    return f"#/components/schemas/{name}"


def _list_schema(kind: Kind) -> dict[str, Any]:
    return {
        "description": f"A list of {kind.plural}.",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": _COMMON["apiVersion"]},
            "kind": {"type": "string", "description": _COMMON["kind"]},
            "metadata": {
                "allOf": [{"$ref": _reference(_name(meta.ListMeta))}],
                "description": "Where the list stands.",
            },
            "items": {
                "type": "array",
                "items": {"$ref": _reference(_name(kind.cls))},
                "description": "The objects.",
            },
        },
        "x-kubernetes-group-version-kind": [{**_identity(kind), "kind": f"{kind.kind}List"}],
    }


_COMMON = {"apiVersion": "Group and version of the object's schema.", "kind": "What kind of object it is."}


# -- paths -----------------------------------------------------------------------------------------


def _query(name: str, type_: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": {"type": type_, "uniqueItems": True}}


_DRY_RUN = _query("dryRun", "string", "All: do everything but write.")
_MANAGER = _query("fieldManager", "string", "Who makes the change.")
_VALIDATION = _query("fieldValidation", "string", "What to do with unknown fields: Ignore, Warn or Strict.")
_FORCE = _query("force", "boolean", "Take fields over from other managers.")
_WRITING = (_DRY_RUN, _MANAGER, _VALIDATION)
_LISTING = (
    _query("labelSelector", "string", "Only objects with these labels."),
    _query("fieldSelector", "string", "Only objects with these fields."),
    _query("limit", "integer", "At most so many objects; the answer says how to go on."),
    _query("continue", "string", "Go on where an earlier list ended."),
    _query("resourceVersion", "string", "How new the answer must be, or where a watch starts."),
    _query("watch", "boolean", "Send changes instead of a list."),
)


def _paths(kind: Kind) -> dict[str, Any]:
    base = f"/{_place(kind.group, kind.version)}"
    if not kind.stored:
        return {f"{base}/{kind.plural}": {"post": _operation(kind, "create", "post", _WRITING, body=True)}}
    inside = f"{base}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{base}/{kind.plural}"
    paths: dict[str, Any] = {
        inside: {
            "get": _operation(kind, "list", "list", _LISTING),
            "post": _operation(kind, "create", "post", _WRITING, body=True),
            "parameters": _path_parameters(kind, named=False),
        },
        f"{inside}/{{name}}": {
            "get": _operation(kind, "read", "get", ()),
            "put": _operation(kind, "replace", "put", _WRITING, body=True),
            "patch": _operation(kind, "patch", "patch", (*_WRITING, _FORCE), body=True, types=_PATCH_TYPES),
            "delete": _operation(kind, "delete", "delete", (_DRY_RUN,)),
            "parameters": _path_parameters(kind, named=True),
        },
    }
    if kind.namespaced:
        paths[f"{base}/{kind.plural}"] = {"get": _operation(kind, "listAll", "list", _LISTING)}
    return paths


def _path_parameters(kind: Kind, *, named: bool) -> list[dict[str, Any]]:
    names = (["namespace"] if kind.namespaced else []) + (["name"] if named else [])
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _operation(
    kind: Kind,
    verb: str,
    action: str,
    parameters: tuple[dict[str, Any], ...],
    *,
    body: bool = False,
    types: tuple[str, ...] = ("application/json",),
) -> dict[str, Any]:
    schema = {"$ref": _reference(_name(kind.cls))}
    answer = {"$ref": _reference(f"{_name(kind.cls)}List")} if action == "list" else schema
    operation: dict[str, Any] = {
        "operationId": f"{verb}{kind.group.partition('.')[0].title() or 'Core'}{kind.version.title()}{kind.kind}",
        "parameters": list(parameters),
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": answer}}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _identity(kind),
    }
    if body:
        content = {"schema": schema} if types == ("application/json",) else {"schema": {"type": "object"}}
        operation["requestBody"] = {"required": True, "content": dict.fromkeys(types, content)}
    return operation
