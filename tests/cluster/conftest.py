"""Labs for the tests of this level. Every lab is checked to have left nothing when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from tests.cluster.lab import Lab, traces
from tests.cluster.lab.leaks import machine_state

MakeLab = Callable[..., AbstractContextManager[Lab]]


@pytest.fixture
def lab_of(machine_unchanged: None) -> MakeLab:
    """``with lab_of("m1", "w1", registry=True) as lab``: a lab that is seen to leave no trace at its end."""
    return _lab_without_trace


@pytest.fixture(scope="session")
def session_lab_of() -> MakeLab:
    """As ``lab_of``, for fixtures that several tests share."""
    return _lab_without_trace


@pytest.fixture
def machine_unchanged() -> Iterator[None]:
    """The machine's own links, routes and nft tables are the same after the test as before it."""
    before = machine_state()
    yield
    added = machine_state() - before
    assert not added, f"the test changed the machine's own network: {sorted(added)}"


@contextmanager
def _lab_without_trace(*hosts: str, **options: Any) -> Iterator[Lab]:
    with Lab(hosts=hosts, **options) as lab:
        yield lab
    left = traces(lab.id)
    assert not left, "the lab left behind:\n" + "\n".join(left)
