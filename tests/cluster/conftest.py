"""Labs for the tests of this level. Every lab is checked to have left nothing when it ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.lab import Lab, registry, traces
from tests.cluster.lab.leaks import machine_state

MakeLab = Callable[..., AbstractContextManager[Lab]]
_FAILED = pytest.StashKey[bool]()


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


@pytest.fixture(scope="package")
def shared_cluster(session_lab_of: MakeLab) -> Iterator[Cluster]:
    """Three masters and two workers on a host each, and a registry with the images."""
    masters, workers = ("m1", "m2", "m3"), ("w1", "w2")
    with session_lab_of(*masters, *workers, registry=True) as lab, Cluster(lab, masters, workers) as cluster:
        registry.start(lab)
        cluster.start_masters()
        cluster.start_workers()
        yield cluster


@pytest.fixture
def cluster(shared_cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The one cluster of all tests here, whole and healthy again after each of them, whatever that one did to it."""
    yield shared_cluster
    if request.node.stash.get(_FAILED, False):
        print(f"what the processes said last:\n{shared_cluster.logs()}", file=sys.stderr)
    shared_cluster.mend()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@contextmanager
def _lab_without_trace(*hosts: str, **options: Any) -> Iterator[Lab]:
    with Lab(hosts=hosts, **options) as lab:
        yield lab
    left = traces(lab.id)
    assert not left, "the lab left behind:\n" + "\n".join(left)
