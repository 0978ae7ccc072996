"""Brings images to the node: each reference is pulled once at a time, however many pods wait for it.

Names are completed as Kubernetes completes them: ``busybox`` is ``docker.io/library/busybox:latest``, whatever search
list the host's registries.conf has. Back-off belongs to the pod (sync.py); here a failure is only told.
"""

from __future__ import annotations

from typing import Literal

import trio

from orchestr8 import limits
from orchestr8.errors import Orchestr8Error
from orchestr8.worker.runtime.base import ImagePullFailed, Runtime

_PULLS_AT_ONCE = 4


class ImageNeverPulled(Orchestr8Error):
    """The policy forbids to pull and the image is not here; shown as ErrImageNeverPull."""

    code = "ImageNeverPulled"


def complete(reference: str) -> str:
    """``web`` -> ``docker.io/library/web:latest``; names with a registry or digest keep what they have."""
    first, slash, _ = reference.partition("/")
    if not slash:
        name = f"docker.io/library/{reference}"
    elif "." in first or ":" in first or first == "localhost":
        name = reference
    else:
        name = f"docker.io/{reference}"
    last = name.rpartition("/")[2]
    return name if "@" in last or ":" in last else f"{name}:latest"


class Images:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._here: set[str] = set()
        self._locks: dict[str, trio.Lock] = {}
        self._limiter = trio.CapacityLimiter(_PULLS_AT_ONCE)

    async def ensure(self, image: str, policy: str) -> Literal["here", "missing"]:
        """``missing``: must be pulled. Raises ImageNeverPulled, and what ``find_image`` raises."""
        reference = complete(image)
        if policy == "Always":
            return "missing"
        if reference in self._here or await self._runtime.find_image(reference) is not None:
            self._here.add(reference)
            return "here"
        if policy == "Never":
            raise ImageNeverPulled(f'Container image "{image}" is not present with pull policy of Never')
        return "missing"

    async def pull(self, image: str, policy: str) -> int:
        """The image's size in bytes; 0 when another pod's pull brought it meanwhile. Raises ImagePullFailed."""
        reference = complete(image)
        lock = self._locks.setdefault(reference, trio.Lock())
        try:
            async with lock:
                if policy != "Always" and reference in self._here:
                    return 0
                with trio.fail_after(limits.IMAGE_PULL_SECONDS):
                    async with self._limiter:
                        pulled = await self._runtime.pull_image(reference)
        except trio.TooSlowError as error:
            raise ImagePullFailed(f"cannot pull {reference}: not done in {limits.IMAGE_PULL_SECONDS} s") from error
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._locks.pop(reference, None)
        self._here.add(reference)
        return pulled.size_bytes

    def forget(self, image: str) -> None:
        """The runtime says that it is not here after all."""
        self._here.discard(complete(image))
