"""Plain calls through podman's own client library, which blocks: in threads, a few at once, each with a deadline.

The only importer of ``podman``. About two calls per core are the most that Podman's service gets through; more would
only wait there instead of here, where a cancel can still reach them.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import msgspec
import requests
import trio
from podman.api.client import APIClient
from podman.errors import APIError

from orchestr8 import limits
from orchestr8.worker.runtime.base import ContainerNotFound, RuntimeFailed, RuntimeUnavailable
from orchestr8.worker.runtime.streams import API_PREFIX, complaint


class PodmanClient:
    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self._api = APIClient(base_url=f"unix://{socket_path}", version=API_PREFIX.split("/")[1].removeprefix("v"))
        calls = max(2, min(limits.PODMAN_CALLS_AT_ONCE, 2 * (os.cpu_count() or 1)))
        self._limiter = trio.CapacityLimiter(calls)

    async def call(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Any:
        """One answer below 400. A thread whose deadline passed keeps its seat until its own timeout.

        Raises ContainerNotFound (404, whatever was not found), RuntimeFailed, RuntimeUnavailable.
        """
        data = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        verb = getattr(self._api, method.lower())
        options: dict[str, Any] = {"params": query or {}, "headers": {"Content-Type": content_type}}
        if data is not None:
            options["data"] = data
        try:
            with trio.fail_after(limits.PODMAN_CALL_SECONDS):
                answer = await trio.to_thread.run_sync(
                    functools.partial(verb, path, timeout=float(limits.PODMAN_CALL_SECONDS), **options),
                    abandon_on_cancel=True,
                    limiter=self._limiter,
                )
        except (requests.RequestException, APIError, OSError) as error:
            raise RuntimeUnavailable(f"podman does not answer at {self._socket_path}: {error}") from error
        except trio.TooSlowError as error:
            raise RuntimeUnavailable(f"podman took longer than {limits.PODMAN_CALL_SECONDS} s for {path}") from error
        if answer.status_code == 404:
            raise ContainerNotFound(complaint(answer.content))
        if answer.status_code >= 400:
            raise RuntimeFailed(complaint(answer.content))
        return answer
