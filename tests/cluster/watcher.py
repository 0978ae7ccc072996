"""A watch on one master, kept open by a thread: what came, in order, and whether it ended."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.cluster.api import Api
from tests.cluster.lab import Host


class Watcher:
    """``events``: as they came. ``ended``: why the connection is gone, "" while it is open."""

    def __init__(self, api: Api, master: Host, path: str, revision: str) -> None:
        url = f"{path}?watch=1&allowWatchBookmarks=true&resourceVersion={revision}"
        self._connection, self._answer = api.open_stream(master.ip, url)
        self.events: list[dict[str, Any]] = []
        self.ended = ""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def names(self) -> list[str]:
        """Of the objects, in the order in which their events came."""
        return [event["object"]["metadata"]["name"] for event in self.events if event["type"] != "BOOKMARK"]

    def revisions(self) -> list[int]:
        return [int(event["object"]["metadata"]["resourceVersion"]) for event in self.events]

    def close(self) -> None:
        assert self._connection.sock is not None
        self._connection.sock.shutdown(2)
        self._thread.join()
        self._connection.close()

    def _read(self) -> None:
        try:
            for line in self._answer:
                self.events.append(json.loads(line))
            self.ended = "the server ended it"
        except OSError as error:
            self.ended = repr(error)


@contextmanager
def watching(api: Api, master: Host, path: str) -> Iterator[Watcher]:
    """From now on, everything at ``path``, a list's path."""
    revision = api.get(path)["metadata"]["resourceVersion"]
    watcher = Watcher(api, master, path, revision)
    try:
        yield watcher
    finally:
        watcher.close()
