"""A plain client of the API for tests: JSON over HTTPS from a given network, without any code of the CLI.

Goes to the master that answered last and, when it does not answer, to the next. ``until`` is how tests wait: for a
state, with a deadline whose error says what was waited for and what was there instead.
"""

from __future__ import annotations

import copy
import http.client
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from orchestr8.client import access
from tests.cluster.lab.inside import Inside

T = TypeVar("T")

PODS = "/api/v1/namespaces/default/pods"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
NODES = "/api/v1/nodes"


class Refused(Exception):
    """The API answered with another status than 2xx."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Unreachable(Exception):
    """No master answered."""


class Api:
    """``inside``: from where; ``kubeconfig``: as whom and to which masters."""

    def __init__(self, inside: Inside, kubeconfig: Path) -> None:
        self._inside = inside
        found = access.load([kubeconfig])
        self._context = access.ssl_context(found)
        self._servers = list(found.servers)

    def at(self, master_ip: str) -> Api:
        """The same client, but of this master alone."""
        alone = copy.copy(self)
        alone._servers = [server for server in self._servers if urlsplit(server).hostname == master_ip]
        return alone

    def get(self, path: str) -> dict[str, Any]:
        return self.request("GET", path)

    def items(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(path)["items"]
        return found

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        media_type: str = "application/json",
        timeout_seconds: float = 2,
    ) -> dict[str, Any]:
        """Raises Refused, or Unreachable when no master answers within ``timeout_seconds`` each."""
        return self._inside(self._try_all, method, path, body, media_type, timeout_seconds)

    def open_stream(self, master_ip: str, path: str) -> tuple[http.client.HTTPSConnection, http.client.HTTPResponse]:
        """An answer of one master that comes piece by piece: a watch. The caller closes the connection."""
        return self._inside(self._open, master_ip, path)

    def _open(self, master_ip: str, path: str) -> tuple[http.client.HTTPSConnection, http.client.HTTPResponse]:
        port = urlsplit(self._servers[0]).port
        connection = http.client.HTTPSConnection(master_ip, port, context=self._context)
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise Refused(answer.status, answer.read().decode(errors="replace"))
        return connection, answer

    def _try_all(self, method: str, path: str, body: object, media_type: str, timeout_seconds: float) -> dict[str, Any]:
        errors = []
        for server in list(self._servers):
            try:
                return self._ask(server, method, path, body, media_type, timeout_seconds)
            except (OSError, http.client.HTTPException) as error:
                errors.append(f"{server}: {error!r}")
                self._servers.remove(server)
                self._servers.append(server)
        raise Unreachable("; ".join(errors))

    def _ask(
        self, server: str, method: str, path: str, body: object, media_type: str, timeout_seconds: float
    ) -> dict[str, Any]:
        place = urlsplit(server)
        connection = http.client.HTTPSConnection(
            place.hostname or "", place.port, timeout=timeout_seconds, context=self._context
        )
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, {"Content-Type": media_type, "Accept": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        value: dict[str, Any] = json.loads(text) if text else {}
        if answer.status >= 300:
            raise Refused(answer.status, value.get("message", ""))
        return value


def until(
    what: str, look: Callable[[], T], *, holds: Callable[[T], object], seconds: float = 30, step: float = 0.02
) -> T:
    """Looks until what is seen ``holds``; returns it. An API that cannot be reached just now is looked at again."""
    deadline = time.monotonic() + seconds
    seen: T | Exception
    while True:
        try:
            seen = look()
            if holds(seen):
                return seen
        except (Unreachable, Refused) as error:
            seen = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}; at last: {str(seen)[:3000]}")
        time.sleep(step)


def is_ready(thing: dict[str, Any]) -> bool:
    """A pod or node whose condition Ready is True."""
    conditions = thing.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def is_live(pod: dict[str, Any]) -> bool:
    """Ready and not on its way out."""
    return is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
