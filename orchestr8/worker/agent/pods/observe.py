"""Turns what the runtime tells into hints for the pods' tasks.

Events only wake. A periodic listing of everything that carries our label proves that nothing was missed, and finds
what belongs to no pod of the set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import trio

from orchestr8.clock import Clock
from orchestr8.logs import get_logger
from orchestr8.worker.agent.pods.pod_task import PodTask
from orchestr8.worker.runtime.base import Runtime, RuntimeFailed, RuntimeUnavailable, Sandbox

LIST_SECONDS = 30.0
_RETRY_SECONDS = 1.0


async def follow_events(runtime: Runtime, tasks: Mapping[str, PodTask]) -> None:
    while True:
        try:
            async with runtime.events() as events:
                async for event in events:
                    task = tasks.get(event.pod_uid)
                    if task is not None:
                        task.hint(event.container_id)
        except (RuntimeUnavailable, RuntimeFailed) as error:
            get_logger().warning("the runtime's events broke off", why=error.message)
        await trio.sleep(_RETRY_SECONDS)


async def list_periodically(
    runtime: Runtime, clock: Clock, tasks: Mapping[str, PodTask], on_stray: Callable[[Sandbox], None]
) -> None:
    """``on_stray`` is told of each sandbox of ours that no task knows."""
    while True:
        await trio.sleep(LIST_SECONDS)
        began_at = clock.monotonic_seconds()
        try:
            sandboxes = {sandbox.pod_uid: sandbox for sandbox in await runtime.list_sandboxes()}
        except (RuntimeUnavailable, RuntimeFailed) as error:
            get_logger().warning("the runtime did not list its containers", why=error.message)
            continue
        for uid, task in list(tasks.items()):
            task.listed(sandboxes.get(uid), began_at)
        for uid, sandbox in sandboxes.items():
            if uid not in tasks:
                on_stray(sandbox)
