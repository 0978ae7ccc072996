"""How a role lives: signals, readiness to systemd, watchdog, grace on stop.

A role is one async function. It runs until it ends, fails, or is asked to stop by SIGTERM or SIGINT. On such a signal
``Lifetime.stopping`` is set and the role has ``grace_seconds`` to end by itself; then it is cancelled. A second
signal cancels at once. SIGHUP reads settings again, and a mistake in them changes nothing. Any error that leaves the
role ends the process with its cause logged: systemd starts it again. Protocol of readiness and reload: sd_notify(3).
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from orchestr8.config import SystemdEnvironment
from orchestr8.errors import ConfigError
from orchestr8.logs import get_logger


class Notify(Protocol):
    def __call__(self, **fields: str) -> None: ...


class Lifetime:
    """What a role may say to the service manager and hear from it."""

    def __init__(self, notify: Notify) -> None:
        self.stopping = trio.Event()
        self._notify = notify
        self._is_ready = False

    def ready(self, status: str) -> None:
        """Call when the role really serves: systemd starts what waits for it."""
        self._is_ready = True
        self._notify(READY="1", STATUS=status)

    def status(self, line: str) -> None:
        self._notify(STATUS=line)

    def extend_start(self, seconds: float) -> None:
        """Still starting (a large snapshot): systemd waits so much longer."""
        self._notify(EXTEND_TIMEOUT_USEC=str(int(seconds * 1e6)))

    def stop(self) -> None:
        self._notify(STOPPING="1")
        self.stopping.set()

    def reloading(self) -> None:
        """Before ``ready`` nothing is told: the READY=1 that ends a reload would be taken for readiness."""
        if self._is_ready:
            # Newer systemd drops a reload without the time at which it began.
            self._notify(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000))

    def reloaded(self) -> None:
        if self._is_ready:
            self._notify(READY="1")


async def run_role(
    role: Callable[[Lifetime], Awaitable[None]],
    *,
    environment: SystemdEnvironment,
    grace_seconds: float,
    reload: Callable[[], None] | None = None,
) -> None:
    """Runs the role to its end. Returns after a clean stop; raises what the role raised.

    ``reload`` (blocking; runs in a thread) is called on SIGHUP; without it SIGHUP stops the role, as when its terminal
    has gone.
    """
    lifetime = Lifetime(notifier(environment.notify_socket))
    async with trio.open_nursery() as nursery:
        await nursery.start(_obey_signals, lifetime, grace_seconds, reload, nursery.cancel_scope)
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
    lifetime: Lifetime,
    grace_seconds: float,
    reload: Callable[[], None] | None,
    scope: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            if number == signal.SIGHUP and reload is not None:
                await _reload(lifetime, reload)
                continue
            if lifetime.stopping.is_set():
                break
            get_logger().info("stopping", signal=signal.Signals(number).name, grace_seconds=grace_seconds)
            lifetime.stop()
            scope.deadline = trio.current_time() + grace_seconds
    scope.cancel()


async def _reload(lifetime: Lifetime, reload: Callable[[], None]) -> None:
    lifetime.reloading()
    try:
        await trio.to_thread.run_sync(reload)
    except (ConfigError, OSError) as error:
        get_logger().error("settings not read again: the old ones hold", reason=str(error))
    else:
        get_logger().info("settings read again")
    lifetime.reloaded()


async def _feed_watchdog(lifetime: Lifetime, period_seconds: float) -> None:
    """A stuck event loop or an exhausted thread pool both stop this, and systemd restarts the process."""
    while True:
        await trio.to_thread.run_sync(lambda: None)
        lifetime._notify(WATCHDOG="1")
        await trio.sleep(period_seconds)
