"""A client of the API that costs little itself: a kept connection for requests, and a thread for a watch.

The machine is shared with what is measured, so nothing is parsed that is not needed and nothing polls. Times are
``time.monotonic()`` of this process.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestr8.client import access
from tests.cluster.api import Refused
from tests.cluster.lab.inside import Inside

JSON = "application/json"
MERGE = "application/merge-patch+json"


class TooLate(Exception):
    """What was waited for did not come."""


class Way:
    """How to reach masters: as the administrator of ``kubeconfig``, with sockets made ``inside`` the lab's network."""

    def __init__(self, inside: Inside, kubeconfig: Path) -> None:
        self._inside = inside
        found = access.load([kubeconfig])
        self._context = access.ssl_context(found)
        self.servers = found.servers

    def connect(self, server: str, *, timeout_seconds: float = 30) -> http.client.HTTPSConnection:
        place = urlsplit(server)
        address = (place.hostname or "", place.port or 443)
        plain = self._inside(socket.create_connection, address, timeout_seconds)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = http.client.HTTPSConnection(*address, timeout=timeout_seconds, context=self._context)
        connection.sock = self._context.wrap_socket(plain, server_hostname=address[0])
        return connection


class Requests:
    """One kept connection to one master."""

    def __init__(self, way: Way, server: str, *, timeout_seconds: float = 30) -> None:
        self._connection = way.connect(server, timeout_seconds=timeout_seconds)

    def __enter__(self) -> Requests:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def bytes(self, method: str, path: str, body: object = None, media_type: str = JSON) -> bytes:
        """The answer's body. Raises Refused."""
        payload = None if body is None else json.dumps(body)
        self._connection.request(method, path, payload, {"Content-Type": media_type, "Accept": JSON})
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise Refused(answer.status, data[:500].decode(errors="replace"))
        return data

    def __call__(self, method: str, path: str, body: object = None, media_type: str = JSON) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.bytes(method, path, body, media_type))
        return found

    def items(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self("GET", path)["items"]
        return found


class Watch:
    """``wait(decide)`` reads events until ``decide(type, object)`` is true and returns when that event arrived."""

    def __init__(self, connection: http.client.HTTPSConnection, path: str) -> None:
        self._events: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        connection.request("GET", path, headers={"Accept": JSON})
        self._answer = connection.getresponse()
        if self._answer.status != 200:
            raise Refused(self._answer.status, self._answer.read()[:500].decode(errors="replace"))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self, decide: Callable[[str, dict[str, Any]], object], what: str, seconds: float = 60) -> float:
        deadline = time.monotonic() + seconds
        while True:
            try:
                arrived, line = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise TooLate(f"not within {seconds:g} s: {what}") from None
            if not line:
                raise TooLate(f"the watch ended before: {what}")
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise TooLate(f"the watch ended before: {what}: {event['object']}")
            if event["type"] != "BOOKMARK" and decide(event["type"], event["object"]):
                return arrived

    def join(self) -> None:
        self._reader.join(timeout=5)

    def _read(self) -> None:
        try:
            while line := self._answer.readline():
                self._events.put((time.monotonic(), line))
        except (OSError, ValueError, http.client.HTTPException):
            pass  # closed by us, or its master was lost: the reader is told below
        self._events.put((time.monotonic(), b""))


@contextmanager
def watching(way: Way, server: str, path: str) -> Iterator[Watch]:
    """Changes of a list from now on; what is there already is not told."""
    with Requests(way, server) as ask:
        revision = ask("GET", f"{path}?limit=1")["metadata"]["resourceVersion"]
    connection = way.connect(server, timeout_seconds=600)
    sock = connection.sock
    watch = Watch(connection, f"{path}?watch=true&resourceVersion={revision}")
    try:
        yield watch
    finally:
        assert sock is not None
        with contextlib.suppress(OSError):  # its master may be gone
            sock.shutdown(socket.SHUT_RDWR)
        watch.join()
        connection.close()
