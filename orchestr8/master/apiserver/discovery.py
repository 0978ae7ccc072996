"""What is served here, in the two forms that clients ask for: aggregated (kubectl) and one document per group.

Made from the list of kinds, once per process; the answers never change while it runs. Source: Kubernetes, "The
Kubernetes API", section on discovery.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec

from orchestr8 import __version__
from orchestr8.api import kinds, openapi
from orchestr8.api.kinds import KINDS, Kind, Subresource
from orchestr8.errors import NotFound
from orchestr8.master.apiserver.messages import Request, Response
from orchestr8.master.apiserver.routes import NOT_HERE

# The Kubernetes API whose kinds and fields the models follow.
_API_MAJOR, _API_MINOR = 1, 37
_AGGREGATED = "apidiscovery.k8s.io"
_AGGREGATED_KIND = "APIGroupDiscoveryList"
_AGGREGATED_VERSIONS = ("v2", "v2beta1")  # the same documents; older clients know only the second


def discover(request: Request) -> Response | None:
    """The answer of a discovery path; None for any other path. Raises NotFound below /apis and /openapi."""
    parts = [part for part in request.path.split("/") if part]
    aggregated = _aggregated_version(request)
    match parts:
        case ["version"]:
            return _json(_version())
        case ["api"] if aggregated:
            return _aggregated_answer(aggregated, core=True)
        case ["apis"] if aggregated:
            return _aggregated_answer(aggregated, core=False)
        case ["api"]:
            return _json({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
        case ["apis"]:
            groups = [_group(group) for group in _groups()]
            return _json({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        case ["api", version]:
            return _json(_resources("", version))
        case ["apis", group]:
            if group not in _groups():
                raise NotFound(NOT_HERE)
            return _json({"kind": "APIGroup", "apiVersion": "v1", **_group(group)})
        case ["apis", group, version]:
            return _json(_resources(group, version))
        case ["openapi", "v3"]:
            return _json(openapi.index())
        case ["openapi", "v3", "api", version]:
            return Response(body=_document("", version))
        case ["openapi", "v3", "apis", group, version]:
            return Response(body=_document(group, version))
        case ["openapi", *_]:
            # Version 2 would have to be protobuf; clients that get 404 for it use version 3.
            raise NotFound(NOT_HERE)
    return None


def _aggregated_version(request: Request) -> str:
    """The first version of the aggregated form that the client takes and we have; "" for the plain documents."""
    for part in request.headers.get("accept", "").split(","):
        parameters = dict(piece.strip().partition("=")[::2] for piece in part.split(";")[1:])
        asked = (parameters.get("g"), parameters.get("as"))
        if asked == (_AGGREGATED, _AGGREGATED_KIND) and parameters.get("v") in _AGGREGATED_VERSIONS:
            return parameters["v"]
    return ""


def _aggregated_answer(version: str, *, core: bool) -> Response:
    content_type = f"application/json;g={_AGGREGATED};v={version};as={_AGGREGATED_KIND}"
    return Response(body=_aggregated(version, core), content_type=content_type)


def _json(value: Any) -> Response:
    return Response(body=msgspec.json.encode(value))


def _version() -> dict[str, str]:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "major": str(_API_MAJOR),
        "minor": str(_API_MINOR),
        "gitVersion": f"v{_API_MAJOR}.{_API_MINOR}.0+orchestr8-{__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": f"linux/{machine}",
    }


@cache
def _document(group: str, version: str) -> bytes:
    if (group, version) not in openapi.group_versions():
        raise NotFound(NOT_HERE)
    return msgspec.json.encode(openapi.document(group, version))


@cache
def _groups() -> tuple[str, ...]:
    """Every group but the core one; one more for the group that only a subresource's body is in."""
    found = {group for group, _ in kinds.group_versions()} | {sub.group for kind in KINDS for sub in kind.subresources}
    return tuple(sorted(found - {""}))


def _group(group: str) -> dict[str, Any]:
    version = next((kind.version for kind in KINDS if kind.group == group), "v1")
    named = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [named], "preferredVersion": named}


def _served(group: str, version: str) -> tuple[Kind, ...]:
    return tuple(kind for kind in KINDS if (kind.group, kind.version) == (group, version))


def _resources(group: str, version: str) -> dict[str, Any]:
    served = _served(group, version)
    if not served and not (group in _groups() and version == "v1"):
        raise NotFound(NOT_HERE)
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": [entry for kind in served for entry in _entries(kind)],
    }


def _entries(kind: Kind) -> Iterable[dict[str, Any]]:
    entry: dict[str, Any] = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    yield entry
    for sub in kind.subresources:
        named = {
            "name": f"{kind.plural}/{sub.name}",
            "singularName": "",
            "namespaced": kind.namespaced,
            "kind": sub.kind,
            "verbs": list(sub.verbs),
        }
        yield {**named, "group": sub.group, "version": sub.version} if sub.group != kind.group else named


@cache
def _aggregated(version: str, core: bool) -> bytes:
    groups = ("",) if core else _groups()
    return msgspec.json.encode(
        {
            "kind": _AGGREGATED_KIND,
            "apiVersion": f"{_AGGREGATED}/{version}",
            "metadata": {},
            "items": [_aggregated_group(group) for group in groups],
        }
    )


def _aggregated_group(group: str) -> dict[str, Any]:
    version = next((kind.version for kind in KINDS if kind.group == group), "v1")
    resources = [_aggregated_resource(kind) for kind in _served(group, version)]
    return {
        "metadata": {"name": group, "creationTimestamp": None},
        "versions": [{"version": version, "freshness": "Current", "resources": resources}],
    }


def _aggregated_resource(kind: Kind) -> dict[str, Any]:
    return {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
        "shortNames": list(kind.short_names),
        "categories": list(kind.categories),
        "subresources": [_aggregated_subresource(sub) for sub in kind.subresources],
    }


def _aggregated_subresource(sub: Subresource) -> dict[str, Any]:
    return {
        "subresource": sub.name,
        "responseKind": {"group": sub.group, "version": sub.version, "kind": sub.kind},
        "verbs": list(sub.verbs),
    }
