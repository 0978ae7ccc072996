"""A role's life: readiness and watchdog reach systemd's socket, signals stop it in order."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import trio
import trio.testing

from orchestr8.config import SystemdEnvironment
from orchestr8.errors import ConfigError
from orchestr8.supervise import Lifetime, run_role


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[tuple[str, trio.socket.SocketType]]:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        yield path, trio.socket.from_stdlib_socket(receiver)


async def test_readiness_is_told_when_the_role_says_so(systemd: tuple[str, trio.socket.SocketType]) -> None:
    path, receiver = systemd

    async def role(lifetime: Lifetime) -> None:
        lifetime.ready("leading, term 7")

    await run_role(role, environment=SystemdEnvironment(notify_socket=path), grace_seconds=1)
    assert (await receiver.recv(4096)) == b"READY=1\nSTATUS=leading, term 7"


async def test_the_watchdog_is_fed_while_the_loop_turns(systemd: tuple[str, trio.socket.SocketType]) -> None:
    path, receiver = systemd
    seen: list[bytes] = []

    async def role(lifetime: Lifetime) -> None:
        for _ in range(2):
            seen.append(await receiver.recv(4096))

    environment = SystemdEnvironment(notify_socket=path, watchdog_seconds=0.03)
    await run_role(role, environment=environment, grace_seconds=1)
    assert seen == [b"WATCHDOG=1", b"WATCHDOG=1"]


async def test_a_first_signal_asks_and_the_role_ends_by_itself() -> None:
    ended: list[str] = []

    async def role(lifetime: Lifetime) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await lifetime.stopping.wait()
        ended.append("in order")

    await run_role(role, environment=SystemdEnvironment(), grace_seconds=60)
    assert ended == ["in order"]


async def test_a_hangup_reads_the_settings_again_and_systemd_hears_from_when_to_when(
    systemd: tuple[str, trio.socket.SocketType],
) -> None:
    path, receiver = systemd
    told: list[dict[str, str]] = []
    read: list[str] = []

    async def role(lifetime: Lifetime) -> None:
        lifetime.ready("serving")
        os.kill(os.getpid(), signal.SIGHUP)
        for _ in range(3):
            told.append(dict(line.split("=", 1) for line in (await receiver.recv(4096)).decode().splitlines()))

    before = time.monotonic_ns() // 1000
    await run_role(
        role,
        environment=SystemdEnvironment(notify_socket=path),
        grace_seconds=1,
        reload=lambda: read.append("settings"),
    )
    assert read == ["settings"]
    assert [set(fields) for fields in told] == [{"READY", "STATUS"}, {"RELOADING", "MONOTONIC_USEC"}, {"READY"}]
    assert before <= int(told[1]["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000


async def test_a_hangup_before_readiness_does_not_claim_it(systemd: tuple[str, trio.socket.SocketType]) -> None:
    path, receiver = systemd
    read = threading.Event()

    async def role(lifetime: Lifetime) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await trio.to_thread.run_sync(read.wait)
        await trio.testing.wait_all_tasks_blocked()
        lifetime.status("still loading")

    await run_role(role, environment=SystemdEnvironment(notify_socket=path), grace_seconds=1, reload=read.set)
    assert (await receiver.recv(4096)) == b"STATUS=still loading"


async def test_a_mistake_in_the_settings_read_again_changes_nothing() -> None:
    asked = threading.Event()

    def reload() -> None:
        asked.set()
        raise ConfigError("master.toml:3: unknown key log.levle")

    async def role(lifetime: Lifetime) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await trio.to_thread.run_sync(asked.wait)
        os.kill(os.getpid(), signal.SIGTERM)
        await lifetime.stopping.wait()

    with structlog.testing.capture_logs() as logged:
        await run_role(role, environment=SystemdEnvironment(), grace_seconds=60, reload=reload)
    assert {"reason": "master.toml:3: unknown key log.levle", "log_level": "error"}.items() <= logged[0].items()


async def test_a_hangup_of_the_terminal_stops_a_role_that_has_nothing_to_reload() -> None:
    async def role(lifetime: Lifetime) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await lifetime.stopping.wait()

    await run_role(role, environment=SystemdEnvironment(), grace_seconds=60)


async def test_a_second_signal_cancels_at_once() -> None:
    cancelled: list[bool] = []

    async def role(lifetime: Lifetime) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await lifetime.stopping.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(True)

    await run_role(role, environment=SystemdEnvironment(), grace_seconds=60)
    assert cancelled == [True]


async def test_the_grace_ends_a_role_that_does_not() -> None:
    async def role(lifetime: Lifetime) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await trio.sleep_forever()

    with trio.fail_after(30):
        await run_role(role, environment=SystemdEnvironment(), grace_seconds=0.05)


async def test_an_error_of_the_role_leaves_it() -> None:
    async def role(lifetime: Lifetime) -> None:
        raise RuntimeError("bug")

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="bug")):
        await run_role(role, environment=SystemdEnvironment(), grace_seconds=1)
