"""A namespace of the API for one test or one file of tests, with the few verbs and waits that tests need.

    space.create(pod("web"), service("web")); space.pod_when("web", "runs", is_live); space.backends("web")

At its end the namespace is deleted and seen to be gone, with everything in it: that is a test of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from orchestr8.api.kinds import by_name
from tests.cluster.api import Api, Refused, is_live, until

Object = dict[str, Any]
_NAMESPACES = "/api/v1/namespaces"


class Space:
    """Everything in namespace ``name``."""

    def __init__(self, api: Api, name: str) -> None:
        self.api = api
        self.name = name

    # -- objects ------------------------------------------------------------------------------------

    def path(self, kind: str, name: str = "", subresource: str = "") -> str:
        """Of a kind's list in this namespace, or of one object in it."""
        found = by_name(kind)
        root = f"/apis/{found.group}/{found.version}" if found.group else f"/api/{found.version}"
        parts = [root, "namespaces", self.name, found.plural, name, subresource]
        return "/".join(part for part in parts if part)

    def create(self, *objects: Object) -> None:
        for obj in objects:
            self.api.request("POST", self.path(obj["kind"]), obj)

    def get(self, kind: str, name: str) -> Object:
        return self.api.get(self.path(kind, name))

    def objects(self, kind: str) -> list[Object]:
        return self.api.items(self.path(kind))

    def pods(self, app: str) -> list[Object]:
        return self.api.items(f"{self.path('Pod')}?labelSelector=app%3D{app}")

    def patch(self, kind: str, name: str, change: Object) -> Object:
        return self.api.request("PATCH", self.path(kind, name), change, media_type="application/merge-patch+json")

    def delete(self, kind: str, name: str, **options: Any) -> None:
        self.api.request("DELETE", self.path(kind, name), {"kind": "DeleteOptions", "apiVersion": "v1", **options})

    # -- waits --------------------------------------------------------------------------------------

    def when(
        self, kind: str, name: str, what: str, holds: Callable[[Object], object], *, seconds: float = 60
    ) -> Object:
        """The object as soon as it ``holds``; ``what`` completes "KIND NAME ..."."""
        return until(f"{kind} {name} {what}", lambda: self.get(kind, name), holds=holds, seconds=seconds)

    def pod_when(self, name: str, what: str, holds: Callable[[Object], object], *, seconds: float = 60) -> Object:
        return self.when("Pod", name, what, holds, seconds=seconds)

    def live_pods(self, app: str, count: int, *, seconds: float = 60) -> list[Object]:
        """As soon as so many pods with this label are live and there are no others with it."""
        return until(
            f"{count} live pods of {app} and no others",
            lambda: self.pods(app),
            holds=lambda pods: len(pods) == count == sum(map(is_live, pods)),
            seconds=seconds,
        )

    def backends(self, service: str) -> set[str]:
        """The addresses that get the Service's traffic."""
        return {
            address
            for part in self.objects("EndpointSlice")
            if part["metadata"]["labels"].get("kubernetes.io/service-name") == service
            for endpoint in part.get("endpoints") or ()
            if endpoint.get("conditions", {}).get("ready")
            for address in endpoint["addresses"]
        }

    def backends_when(self, service: str, wanted: set[str], *, seconds: float = 60) -> None:
        until(
            f"the backends of {service} are {sorted(wanted)}",
            lambda: self.backends(service),
            holds=lambda found: found == wanted,
            seconds=seconds,
        )

    def address(self, service: str) -> str:
        found: str = self.get("Service", service)["spec"]["clusterIP"]
        return found

    def events(self, name: str) -> set[str]:
        """The reasons of the events about the object of this name."""
        return {event["reason"] for event in self.objects("Event") if event["involvedObject"]["name"] == name}


@contextmanager
def space(api: Api, name: str) -> Iterator[Space]:
    api.request("POST", _NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    made = Space(api, name)
    yield made
    api.request("DELETE", f"{_NAMESPACES}/{name}")
    until(f"namespace {name} is gone", lambda: _exists(api, name), holds=lambda there: not there, seconds=90)


def _exists(api: Api, name: str) -> bool:
    try:
        api.get(f"{_NAMESPACES}/{name}")
    except Refused as error:
        if error.code == 404:
            return False
        raise
    return True
