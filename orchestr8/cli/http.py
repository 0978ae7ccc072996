"""HTTP to the API servers of a cluster, blocking, with http.client and ssl.

One connection is kept for the requests of a command. A server that cannot be reached is passed over for the next
master; a request that may have been carried out is only repeated when it is a read.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from orchestr8 import __version__
from orchestr8.client.access import Access, ssl_context
from orchestr8.client.failures import from_response
from orchestr8.errors import OutcomeUnknown, Unauthenticated, Unavailable

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
_CHUNK_BYTES = 64 * 1024

JSON = "application/json"
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """``body``: whole, of an answer with a code below 400."""

    code: int
    body: bytes
    warnings: tuple[str, ...] = ()

    def json(self) -> Any:
        return json.loads(self.body)


class Api:
    """Requests to whichever master answers. ``server`` is the one in use."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._ssl = ssl_context(access)
        self._servers = list(access.servers)
        self._connection: http.client.HTTPSConnection | None = None

    @property
    def server(self) -> str:
        return self._servers[0]

    def get(self, path: str, accept: str = JSON) -> Any:
        """The JSON at ``path``. Raises what client/failures.py makes of the answer, or Unavailable."""
        return self.request("GET", path, accept=accept).json()

    def request(
        self, method: str, path: str, body: Any = None, *, content_type: str = JSON, accept: str = JSON
    ) -> Answer:
        """``body`` is sent as JSON. Raises OutcomeUnknown if a write was sent and no answer came."""
        response = self._send(method, path, body, content_type, accept)
        try:
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise _lost(method, self.server, error) from error
        if response.status >= 400:
            raise from_response(response.status, data)
        return Answer(response.status, data, _warnings(response))

    def stream(self, path: str, accept: str = JSON, *, silent_seconds: float | None = None) -> Iterator[bytes]:
        """Pieces of a long answer (logs, watch) as they come, until the server ends it; raises Unavailable if cut."""
        response = self._send("GET", path, None, JSON, accept)
        if response.status >= 400:
            raise from_response(response.status, response.read())
        connection = self._connection
        if connection is not None and connection.sock is not None:
            connection.sock.settimeout(silent_seconds)
        try:
            while data := response.read1(_CHUNK_BYTES):
                yield data
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"the connection to {self.server} was lost: {error}") from error
        finally:
            self.close()

    def dial(self) -> ssl.SSLSocket:
        """A TLS connection of its own to the first server that answers, for a WebSocket."""
        self.close()
        connection = self._connect()
        sock = connection.sock
        assert isinstance(sock, ssl.SSLSocket)
        sock.settimeout(None)
        return sock

    @property
    def token(self) -> str | None:
        return self._access.token

    def next_server(self) -> None:
        """The one in use let us down: begin with another next time."""
        self.close()
        self._servers.append(self._servers.pop(0))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, method: str, path: str, body: Any, content_type: str, accept: str) -> http.client.HTTPResponse:
        headers = {"Accept": accept, "User-Agent": f"orchestr8/{__version__}"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = content_type
        if self._access.token is not None:
            headers["Authorization"] = f"Bearer {self._access.token}"
        repeatable = method == "GET"
        for left in reversed(range(len(self._servers) + 1)):
            kept = self._connection is not None
            connection = self._connection or self._connect()
            try:
                connection.request(method, path, data, headers)
                return connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                self.close()
                # A kept connection that the server has closed meanwhile carried nothing.
                if not (repeatable or (kept and isinstance(error, http.client.RemoteDisconnected))) or not left:
                    raise _lost(method, self.server, error) from error
                if not kept:
                    self.next_server()
        raise AssertionError("unreachable: the last round returns or raises")

    def _connect(self) -> http.client.HTTPSConnection:
        problems = []
        for _ in range(len(self._servers)):
            url = urlsplit(self.server)
            connection = http.client.HTTPSConnection(
                url.hostname or "", url.port or 443, timeout=CONNECT_SECONDS, context=self._ssl
            )
            try:
                connection.connect()
            except ssl.SSLCertVerificationError as error:
                raise Unauthenticated(
                    f"{self.server} is not the cluster of this kubeconfig: {error.verify_message}"
                ) from error
            except OSError as error:
                problems.append(f"{self.server}: {error.strerror or error}")
                self.next_server()
                continue
            connection.sock.settimeout(ANSWER_SECONDS)
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection = connection
            return connection
        raise Unavailable("no master answers: " + "; ".join(problems))


def _lost(method: str, server: str, error: Exception) -> Unavailable | OutcomeUnknown:
    reason = f"{server} gave no answer: {error or type(error).__name__}"
    return Unavailable(reason) if method == "GET" else OutcomeUnknown(reason)


def _warnings(response: http.client.HTTPResponse) -> tuple[str, ...]:
    """The text of ``Warning: 299 - "text"`` headers, by which the API tells what it does not run."""
    found = response.headers.get_all("Warning") or []
    return tuple(value.partition('"')[2].rpartition('"')[0].replace('\\"', '"') or value for value in found)
