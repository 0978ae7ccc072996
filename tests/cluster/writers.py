"""Clients that never stop writing: ``python writers.py KUBECONFIG NAMESPACE COUNT``.

COUNT writers create ConfigMaps until standard input ends; each write has a name of its own and 3 s to be answered, and
goes to the next master when it is not. Then prints JSON: ``{"acknowledged": {name: resourceVersion}, "tried": n}``;
after the first acknowledged write of each writer it says ``writing``. What was tried and is not acknowledged may be
there or not.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from orchestr8.client import access

_ANSWER_SECONDS = 3.0


class Writer(threading.Thread):
    def __init__(self, number: int, found: access.Access, namespace: str, stop: threading.Event) -> None:
        super().__init__()
        self.acknowledged: dict[str, str] = {}
        self.tried = 0
        self.first = threading.Event()
        self._prefix = f"p{os.getpid()}-w{number}"
        self._context = access.ssl_context(found)
        self._servers = list(
            found.servers[number % len(found.servers) :] + found.servers[: number % len(found.servers)]
        )
        self._path = f"/api/v1/namespaces/{namespace}/configmaps"
        self._stop_asked = stop

    def run(self) -> None:
        while not self._stop_asked.is_set():
            place = urlsplit(self._servers[0])
            connection = http.client.HTTPSConnection(
                place.hostname or "", place.port, timeout=_ANSWER_SECONDS, context=self._context
            )
            try:
                while not self._stop_asked.is_set():
                    self._write(connection)
            except (OSError, http.client.HTTPException):
                self._servers.append(self._servers.pop(0))
                time.sleep(0.02)
            finally:
                connection.close()

    def _write(self, connection: http.client.HTTPSConnection) -> None:
        name = f"{self._prefix}-{self.tried}"
        self.tried += 1
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"written": name}}
        connection.request("POST", self._path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status == 201:
            self.acknowledged[name] = json.loads(text)["metadata"]["resourceVersion"]
            self.first.set()
        else:
            raise http.client.HTTPException(f"{answer.status}")


def main(kubeconfig: str, namespace: str, count: int) -> None:
    stop = threading.Event()
    found = access.load([Path(kubeconfig)])
    writers = [Writer(number, found, namespace, stop) for number in range(count)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.first.wait()
    print("writing", flush=True)
    sys.stdin.read()
    stop.set()
    for writer in writers:
        writer.join()
    acknowledged = {name: revision for writer in writers for name, revision in writer.acknowledged.items()}
    print(json.dumps({"acknowledged": acknowledged, "tried": sum(writer.tried for writer in writers)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
