"""One contract, two runtimes: the fake here on a virtual clock, Podman when a test of tests/cluster/runtime runs this
file inside a host with ORCHESTR8_TEST_PODMAN naming the service's socket."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio
import trio.testing

from orchestr8.clock import Clock
from orchestr8.worker.runtime.base import Runtime
from orchestr8.worker.runtime.fake import FakeRuntime
from orchestr8.worker.runtime.podman import open_podman

IMAGE = "localhost/busybox:1"

OpenRuntime = Callable[[], AbstractAsyncContextManager[Runtime]]


@pytest.fixture
def runtime_socket() -> str:
    return os.environ.get("ORCHESTR8_TEST_PODMAN", "")


@pytest.fixture
def virtual_clock(runtime_socket: str) -> trio.abc.Clock | None:
    """Virtual time for the fake, real time for Podman."""
    return None if runtime_socket else trio.testing.MockClock(autojump_threshold=0)


@pytest.fixture
def open_runtime(runtime_socket: str) -> OpenRuntime:
    """A runtime that has the image and nothing else."""

    @asynccontextmanager
    async def fake() -> AsyncIterator[Runtime]:
        async with trio.open_nursery() as nursery:
            runtime = FakeRuntime(nursery, Clock(0.0), random.Random(1))
            runtime.add_image(IMAGE)
            runtime.registry = set()
            yield runtime
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def podman() -> AsyncIterator[Runtime]:
        async with open_podman(runtime_socket) as runtime:
            for left in await runtime.list_sandboxes():
                await runtime.remove_sandbox(left.id)
            yield runtime
            for left in await runtime.list_sandboxes():
                await runtime.remove_sandbox(left.id)

    return podman if runtime_socket else fake
