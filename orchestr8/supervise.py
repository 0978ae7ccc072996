"""How a role lives: signals, readiness to systemd, watchdog, grace on stop.

A role is one async function. It runs until it ends, fails, or is asked to stop by SIGTERM or SIGINT. On such a signal
``Lifetime.stopping`` is set and the role has ``grace_seconds`` to end by itself; then it is cancelled. A second
signal cancels at once. Any error that leaves the role ends the process with its cause logged: systemd starts it again.
Protocol of readiness: sd_notify(3).
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from orchestr8.config import SystemdEnvironment
from orchestr8.logs import get_logger


class Notify(Protocol):
    def __call__(self, **fields: str) -> None: ...


class Lifetime:
    """What a role may say to the service manager and hear from it."""

    def __init__(self, notify: Notify) -> None:
        self.stopping = trio.Event()
        self._notify = notify

    def ready(self, status: str) -> None:
        """Call when the role really serves: systemd starts what waits for it."""
        self._notify(READY="1", STATUS=status)

    def status(self, line: str) -> None:
        self._notify(STATUS=line)

    def extend_start(self, seconds: float) -> None:
        """Still starting (a large snapshot): systemd waits so much longer."""
        self._notify(EXTEND_TIMEOUT_USEC=str(int(seconds * 1e6)))

    def stop(self) -> None:
        self._notify(STOPPING="1")
        self.stopping.set()


async def run_role(
    role: Callable[[Lifetime], Awaitable[None]],
    *,
    environment: SystemdEnvironment,
    grace_seconds: float,
) -> None:
    """Runs the role to its end. Returns after a clean stop; raises what the role raised."""
    lifetime = Lifetime(notifier(environment.notify_socket))
    async with trio.open_nursery() as nursery:
        await nursery.start(_obey_signals, lifetime, grace_seconds, nursery.cancel_scope)
        if environment.watchdog_seconds:
            nursery.start_soon(_feed_watchdog, lifetime, environment.watchdog_seconds / 3)
        await role(lifetime)
        nursery.cancel_scope.cancel()


def notifier(notify_socket: str) -> Notify:
    """Sends to systemd's socket (a path, or ``@`` for an abstract one); without one it does nothing."""
    if not notify_socket:
        return lambda **fields: None
    address = "\0" + notify_socket[1:] if notify_socket.startswith("@") else notify_socket

    def send(**fields: str) -> None:
        datagram = "\n".join(f"{key}={value}" for key, value in fields.items()).encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto(datagram, address)

    return send


async def _obey_signals(
    lifetime: Lifetime, grace_seconds: float, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if lifetime.stopping.is_set():
                break
            get_logger().info("stopping", signal=signal.Signals(number).name, grace_seconds=grace_seconds)
            lifetime.stop()
            scope.deadline = trio.current_time() + grace_seconds
    scope.cancel()


async def _feed_watchdog(lifetime: Lifetime, period_seconds: float) -> None:
    """A stuck event loop or an exhausted thread pool both stop this, and systemd restarts the process."""
    while True:
        await trio.to_thread.run_sync(lambda: None)
        lifetime._notify(WATCHDOG="1")
        await trio.sleep(period_seconds)
