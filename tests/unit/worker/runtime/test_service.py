"""Whose service it is: a socket of systemd's is waited for, never replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio.testing

from orchestr8.worker.runtime.base import RuntimeUnavailable
from orchestr8.worker.runtime.service import open_service


async def test_a_foreign_socket_that_does_not_answer_is_left_where_it_is(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    socket_path = tmp_path / "podman.sock"
    socket_path.touch()
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeUnavailable, match="systemctl start podman.socket")):
        async with open_service(str(socket_path), foreign=True):
            raise AssertionError("there is no service")
    assert socket_path.exists()
