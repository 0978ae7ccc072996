"""Whose service it is: one of systemd's is waited for, one of a killed worker is used while it lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio.testing

from orchestr8.worker.runtime import service
from orchestr8.worker.runtime.base import RuntimeUnavailable
from orchestr8.worker.runtime.service import answers, open_service

# Answers every request on a Unix socket, as Podman answers its ping.
PONG = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
open(sys.argv[2], "a").write("x")
while True:
    connection, _ = listener.accept()
    if connection.recv(4096):
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nOK")
    connection.close()
"""


async def test_a_foreign_socket_that_does_not_answer_is_left_where_it_is(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    socket_path = tmp_path / "podman.sock"
    socket_path.touch()
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeUnavailable, match="systemctl start podman.socket")):
        async with open_service(str(socket_path), foreign=True):
            raise AssertionError("there is no service")
    assert socket_path.exists()


async def test_the_service_of_a_killed_worker_is_used_and_replaced_when_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket_path = str(tmp_path / "podman.sock")
    starts = tmp_path / "starts"
    command = [sys.executable, "-c", PONG, socket_path, str(starts)]
    monkeypatch.setattr(service, "service_command", lambda _path, *, systemd: command)
    with subprocess.Popen(command) as old, trio.fail_after(20):
        while not await answers(socket_path):  # noqa: ASYNC110 - another process makes the socket
            await trio.sleep(0.01)
        async with open_service(socket_path):
            assert starts.read_text() == "x"
            old.kill()
            while not (starts.read_text() == "xx" and await answers(socket_path)):  # noqa: ASYNC110
                await trio.sleep(0.01)
