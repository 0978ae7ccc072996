"""A small API server over real TLS for tests of the command line: objects in a dict, no rules of its own."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import wsproto
from wsproto.events import BytesMessage

from orchestr8.api import kinds
from orchestr8.api.patch import apply_patch
from orchestr8.pki import ca, certificates, contexts
from orchestr8.pki.files import Identity


def _discovery(core: bool) -> dict[str, Any]:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for kind in kinds.KINDS:
        if bool(kind.group) is not core:
            groups.setdefault((kind.group, kind.version), []).append(
                {
                    "resource": kind.plural,
                    "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
                    "scope": "Namespaced" if kind.namespaced else "Cluster",
                    "singularResource": kind.singular,
                    "shortNames": list(kind.short_names),
                    "categories": list(kind.categories),
                    "verbs": list(kind.verbs),
                }
            )
    items = [
        {"metadata": {"name": group} if group else {}, "versions": [{"version": version, "resources": resources}]}
        for (group, version), resources in groups.items()
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items}


_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class ApiServer:
    """``objects``: path -> object. ``canned``: (method, path) -> (code, JSON or bytes), before anything else."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.canned: dict[tuple[str, str], tuple[int, Any]] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.hang_up_on: set[str] = set()
        self.shell: Callable[[list[bytes]], list[bytes]] | None = None  # exec: messages heard so far -> what to say now
        self.heard: list[bytes] = []
        self.revision = 100

    def put(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        self.revision += 1
        metadata = {"uid": f"uid-{self.revision}", **document["metadata"], "resourceVersion": str(self.revision)}
        self.objects[path] = {**document, "metadata": metadata}
        return self.objects[path]

    def answer(self, method: str, target: str, body: Any, content_type: str, accept: str) -> tuple[int, Any]:
        path = urlsplit(target).path
        query = parse_qs(urlsplit(target).query)
        self.requests.append((method, target, body))
        if (method, path) in self.canned:
            return self.canned[(method, path)]
        if path in ("/api", "/apis"):
            return 200, _discovery(path == "/apis")
        if method == "POST":
            full = f"{path}/{body['metadata']['name']}"
            return 201, self.put(full, body)
        if method == "PATCH" and path in self.objects:
            live = self.objects[path]
            cls = kinds.by_name(live["kind"]).cls
            changed = apply_patch(content_type, cls, live, body)
            return 200, live if changed == live else self.put(path, changed)
        if method == "DELETE" and path in self.objects:
            return 200, self.objects.pop(path)
        if method == "GET":
            found = self.objects.get(path)
            inside = [each for key, each in self.objects.items() if key.rpartition("/")[0] == path]
            if found is None and path.rpartition("/")[2] not in {kind.plural for kind in kinds.KINDS}:
                return 404, _status(404, "NotFound", f'"{path.rpartition("/")[2]}" not found')
            wanted = query.get("labelSelector", [""])[0]
            if wanted:
                pairs = [pair.split("=") for pair in wanted.split(",")]
                inside = [x for x in inside if all(x["metadata"].get("labels", {}).get(k) == v for k, v in pairs)]
            rows = [found] if found is not None else inside
            if "as=Table" in accept:
                return 200, self.table(rows)
            listed = {"kind": "List", "metadata": {"resourceVersion": str(self.revision)}, "items": inside}
            return 200, found if found is not None else listed
        return 404, _status(404, "NotFound", f'"{path.rpartition("/")[2]}" not found')

    def table(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "kind": "Table",
            "metadata": {"resourceVersion": str(self.revision)},
            "columnDefinitions": [
                {"name": "Name", "priority": 0},
                {"name": "Status", "priority": 0},
                {"name": "Node", "priority": 1},
            ],
            "rows": [
                {
                    "cells": [row["metadata"]["name"], row.get("status", {}).get("phase"), "w1"],
                    "object": {"metadata": row["metadata"]},
                }
                for row in rows
            ],
        }


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


status = _status

NOW = dt.datetime.now(dt.UTC)
AUTHORITY = ca.create(NOW)
KEY = ca.new_key()
MASTER = Identity(
    AUTHORITY.certificate_pem,
    certificates.issue(AUTHORITY, KEY.public_key(), certificates.master("m1", []), NOW),
    ca.key_to_pem(KEY),
)


@contextmanager
def serving(api: ApiServer) -> Iterator[str]:
    """The ``https://`` address at which ``api`` answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            if self.headers.get("Upgrade") == "websocket" and ("GET", urlsplit(self.path).path) not in api.canned:
                self._talk()
                return
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            content_type = self.headers.get("Content-Type") or ""
            if f"{self.command} {urlsplit(self.path).path}" in api.hang_up_on:
                self.close_connection = True
                return
            code, said = api.answer(self.command, self.path, body, content_type, self.headers.get("Accept") or "")
            data = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _talk(self) -> None:
            api.requests.append(("GET", self.path, None))
            accept = hashlib.sha1(self.headers["Sec-WebSocket-Key"].encode() + _WEBSOCKET_GUID).digest()
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept).decode())
            self.send_header("Sec-WebSocket-Protocol", self.headers["Sec-WebSocket-Protocol"])
            self.end_headers()
            self.close_connection = True
            wire = wsproto.connection.Connection(wsproto.ConnectionType.SERVER)
            assert api.shell is not None
            while True:
                for message in api.shell(api.heard):
                    self.wfile.write(wire.send(BytesMessage(data=message)))
                data = self.connection.recv(65536)
                if not data:
                    return
                wire.receive_data(data)
                api.heard += [bytes(event.data) for event in wire.events() if isinstance(event, BytesMessage)]

        do_GET = do_POST = do_PATCH = do_DELETE = _serve

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    context = contexts.api_server(MASTER)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=True)
    assert isinstance(server.socket, ssl.SSLSocket)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
