"""Paths of the resource API to what they speak of. Pure; the paths come from the list of kinds.

``/api/v1/...`` is the core group, ``/apis/GROUP/VERSION/...`` every other; then perhaps ``namespaces/NS``, the kind's
plural, a name and a subresource. Source: Kubernetes, "API Concepts".
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestr8.api import kinds
from orchestr8.api.kinds import Kind
from orchestr8.errors import NotFound
from orchestr8.master.apiserver.messages import Refusal, Request
from orchestr8.master.apiserver.statuses import About
from orchestr8.store.command import Key

NOT_HERE = "the server could not find the requested resource"


@dataclass(frozen=True, slots=True)
class Target:
    """``namespace`` "": cluster scope, or all namespaces for a list. ``name`` "": the whole collection."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> Key:
        return Key(self.kind.kind, self.namespace, self.name)

    @property
    def about(self) -> About:
        return About(self.name, self.kind.group, self.kind.plural)

    @property
    def resource(self) -> str:
        """As messages name it: ``pods``, ``deployments.apps``."""
        return f"{self.kind.plural}.{self.kind.group}" if self.kind.group else self.kind.plural


def resource_target(path: str) -> Target | None:
    """The target of a path below /api/v1 or /apis/GROUP/VERSION; None for paths that are not resource paths.

    Raises NotFound for a resource path that names nothing served here.
    """
    parts = [part for part in path.split("/") if part]
    if len(parts) >= 3 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3:
        inner = kinds.by_resource(group, version, rest[2])
        if inner is not None and inner.namespaced:
            namespace, rest = rest[1], rest[2:]
    kind = kinds.by_resource(group, version, rest[0])
    if kind is None or len(rest) > 3:
        raise NotFound(NOT_HERE)
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if (name and kind.namespaced and not namespace) or (subresource and kind.subresource(subresource) is None):
        raise NotFound(NOT_HERE)
    return Target(kind, namespace, name, subresource)


def verb_of(request: Request, target: Target) -> str:
    """The verb that access rules know: get, list, watch, create, update, patch, delete or deletecollection.

    Raises Refusal 405 for a method that the target does not have.
    """
    match request.method:
        case "GET" | "HEAD" if target.name:
            verb = "get"
        case "GET" | "HEAD":
            verb = "watch" if request.query.flag("watch") else "list"
        case "POST" if not target.name or target.subresource:
            verb = "create"
        case "PUT" if target.name:
            verb = "update"
        case "PATCH" if target.name:
            verb = "patch"
        case "DELETE":
            verb = "delete" if target.name else "deletecollection"
        case _:
            verb = ""
    found = target.kind.subresource(target.subresource) if target.subresource else None
    verbs = found.verbs if found is not None else target.kind.verbs
    creates_nowhere = verb in ("create", "deletecollection") and target.kind.namespaced and not target.namespace
    if verb not in verbs or creates_nowhere:
        raise Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    return verb
