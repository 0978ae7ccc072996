"""Clients that send what they like: bytes over TCP or TLS, with whatever certificate, to one port of one master."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestr8.pki import ca, certificates, contexts, files
from orchestr8.pki.files import Identity
from tests.cluster.cluster import API_PORT, Cluster
from tests.cluster.lab import Host

_PATIENCE_SECONDS = 15.0  # above every bound within which a master must have answered or hung up
Enough = Callable[[bytes], bool]  # whether nothing more need be read
WELCOME = b"8"  # the first byte of the server on the RPC port: see rpc/network.py


class Stranger:
    """Talks to the first master. ``said``: what came back before the other side hung up or fell silent."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.master = cluster.masters[0]

    def authority(self) -> ca.Authority:
        """The cluster's own CA, as only somebody on a master's disk can have it."""
        found = files.load_authority(_disk(self.master, "master"))
        assert found is not None
        return found

    def worker_identity(self, worker: Host) -> Identity:
        found = files.load_identity(_disk(worker, "worker"))
        assert found is not None
        return found

    def made_identity(self, subject: certificates.Subject, authority: ca.Authority, now: dt.datetime) -> Identity:
        """Signed by ``authority`` at ``now``; trusts the cluster's own CA."""
        key = ca.new_key()
        signed = certificates.issue(authority, key.public_key(), subject, now)
        return Identity(self.authority().certificate_pem, signed, ca.key_to_pem(key))

    def say(self, port: int, data: bytes, identity: Identity | None = None, *, leave: bool = False) -> bytes:
        """Over TLS: sends ``data`` in one go and reads to the end, or leaves at once. Raises OSError (of which
        ssl.SSLError is one) where the handshake fails."""
        return self._cluster.inside(self._say, port, data, identity, (lambda _: True) if leave else _never)

    def say_plainly(self, port: int, data: bytes) -> bytes:
        """Over TCP alone."""

        def say() -> bytes:
            with socket.create_connection((self.master.ip, port), timeout=_PATIENCE_SECONDS) as tcp:
                return _exchange(tcp, data, _never)

        return self._cluster.inside(say)

    def ask(
        self, request: str, body: bytes = b"", identity: Identity | None = None, /, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """One HTTP request to the API: status and JSON of the answer. ``request``: ``POST /path``. ``headers``:
        ``content_type="..."`` and the like; the length is sent unless a ``transfer_encoding`` is given."""
        fields = {"host": self.master.ip, "connection": "close", **headers}
        if "transfer_encoding" not in headers:
            fields.setdefault("content_length", str(len(body)))
        lines = [f"{request} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
        data = "\r\n".join([*lines, "", ""]).encode("latin-1") + body
        said = self._cluster.inside(self._say, API_PORT, data, identity, _is_whole_answer)
        head, _, text = said.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 "), f"no answer to {request}: {said[:200]!r}"
        return int(head.split()[1]), json.loads(text)

    def _say(self, port: int, data: bytes, identity: Identity | None, enough: Enough) -> bytes:
        context = contexts.rpc_client(self.authority().certificate_pem, identity)
        if port == API_PORT:
            context.set_alpn_protocols(["http/1.1"])
        with socket.create_connection((self.master.ip, port), timeout=_PATIENCE_SECONDS) as tcp:
            with context.wrap_socket(tcp, server_hostname=self.master.ip) as tls:
                return _exchange(tls, data, enough)


def _exchange(stream: socket.socket, data: bytes, enough: Enough) -> bytes:
    """What came back. A server that hangs up while it is still being sent to has answered before."""
    received = b""
    with contextlib.suppress(OSError):
        stream.sendall(data)
    with contextlib.suppress(ConnectionError):
        while not enough(received) and (piece := stream.recv(65_536)):
            received += piece
    return received


def _never(received: bytes) -> bool:
    return False


def _is_whole_answer(received: bytes) -> bool:
    head, end, text = received.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return bool(end) and length is not None and len(text) >= int(length[1])


def _disk(host: Host, role: str) -> Path:
    return host.folder / "var" / "lib" / "upper" / "orchestr8" / role / "pki"
