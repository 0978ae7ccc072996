"""What a cluster serves and where: names that people use -> paths of the API. Pure.

The list comes from the server's discovery documents (Kubernetes, "Discovery API", aggregated form), so that a client
knows every kind that its cluster knows, under every name the cluster gives it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from orchestr8.errors import BadRequest

DISCOVERY_PATHS = ("/api", "/apis")
DISCOVERY_ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
TABLE_ACCEPT = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as a cluster serves it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def full_name(self) -> str:
        """``deployment.apps``: how `-o name` and acknowledgements call it."""
        name = self.singular or self.kind.lower()
        return f"{name}.{self.group}" if self.group else name

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """``namespace`` None: all of them, or a kind that has none."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/" + "/".join(quote(part, safe="") for part in parts)


def with_query(path: str, query: dict[str, Any]) -> str:
    """``query`` values None, "" and False are left out; True is ``true``."""
    kept = {key: "true" if value is True else value for key, value in query.items() if value not in (None, "", False)}
    return f"{path}?{urlencode(kept)}" if kept else path


class Catalogue:
    """Every resource of one cluster, by every name it has."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.resources = tuple(resources)
        self._by_name: dict[str, Resource] = {}
        for resource in self.resources:
            names = [resource.plural, resource.singular, resource.kind.lower(), *resource.short_names]
            for name in filter(None, names):
                self._by_name.setdefault(name, resource)
                if resource.group:
                    self._by_name.setdefault(f"{name}.{resource.group}", resource)
                    self._by_name.setdefault(f"{name}.{resource.version}.{resource.group}", resource)

    def find(self, name: str) -> Resource:
        """Raises BadRequest naming what is near."""
        found = self._by_name.get(name.lower())
        if found is None:
            import difflib  # a millisecond that only a mistyped name pays

            near = difflib.get_close_matches(name.lower(), self._by_name, n=1)
            hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(sorted(self.plurals()))
            raise BadRequest(f"this cluster serves no {name!r}; {hint}")
        return found

    def find_all(self, names: str) -> list[Resource]:
        """``pods,svc``, or a category such as ``all``."""
        found: dict[str, Resource] = {}
        for name in filter(None, names.split(",")):
            members = [resource for resource in self.resources if name in resource.categories]
            for resource in members or [self.find(name)]:
                found[resource.full_name] = resource
        return list(found.values())

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        """None if this cluster does not serve that version of that kind."""
        return next((each for each in self.resources if (each.api_version, each.kind) == (api_version, kind)), None)

    def plurals(self) -> list[str]:
        return [resource.plural for resource in self.resources]


def parse(documents: Iterable[Any]) -> Catalogue:
    """``documents``: the answers of DISCOVERY_PATHS, as JSON. Raises BadRequest if they are none."""
    try:
        return Catalogue(resource for document in documents for resource in _resources(document))
    except (KeyError, TypeError, AttributeError) as error:
        raise BadRequest(f"the server's discovery document is not understood: {error!r}") from error


def _resources(document: Any) -> Iterable[Resource]:
    for group in document["items"]:
        version = group["versions"][0]
        for each in version.get("resources", ()):
            if not each.get("verbs"):
                continue
            yield Resource(
                group=group.get("metadata", {}).get("name", ""),
                version=version["version"],
                plural=each["resource"],
                kind=each["responseKind"]["kind"],
                namespaced=each.get("scope") == "Namespaced",
                singular=each.get("singularResource", ""),
                short_names=tuple(each.get("shortNames", ())),
                categories=tuple(each.get("categories", ())),
                verbs=tuple(each["verbs"]),
            )
