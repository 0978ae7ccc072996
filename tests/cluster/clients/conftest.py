"""The cluster that the clients talk to, and a namespace of its own for each test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.clients.programs import Program, kubeconfig_of
from tests.cluster.cluster import ORCHESTR8, Cluster
from tests.cluster.lab.inside import entered

_WHICH = os.environ.get("ORCHESTR8_TEST_CLIENTS", "lab")


@dataclass(frozen=True)
class Place:
    """``network``: of the lab, from which its masters are reached; ``viewer`` None: there is no such user."""

    admin: Path
    viewer: Path | None
    network: str = ""


@pytest.fixture(scope="package")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The lab's cluster, unless ORCHESTR8_TEST_CLIENTS says otherwise: see this package's docstring."""
    if _WHICH == "hollow":
        with _hollow(tmp_path_factory.mktemp("hollow")) as found:
            yield found
    elif _WHICH != "lab":
        yield Place(Path(_WHICH), None)
    else:
        cluster: Cluster = request.getfixturevalue("shared_cluster")
        viewer = cluster.lab.folder / "viewer.kubeconfig"
        viewer.write_text(cluster.masters[0].run([ORCHESTR8, "kubeconfig", "--viewer=vera"]).stdout)
        yield Place(cluster.kubeconfig, viewer, cluster.lab.segment)


@pytest.fixture
def namespace(place: Place, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Named after the test, and deleted with all that is in it. The test and its programs are in the lab's network."""
    name = request.node.name.removeprefix("test_").replace("_", "-").split("[")[0][:50].strip("-")
    kubectl = Program("kubectl", place.admin, tmp_path)
    with entered(place.network) if place.network else nullcontext():
        kubectl("apply", "-f", "-", stdin=f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
        yield name
        kubectl("delete", "namespace", name, "--timeout=50s")


@pytest.fixture
def kubectl(place: Place, namespace: str, tmp_path: Path) -> Program:
    return Program("kubectl", kubeconfig_of(place.admin, namespace, tmp_path / "admin"), tmp_path, namespace)


@pytest.fixture
def cli(kubectl: Program) -> Program:
    """Ours, as the same person in the same namespace."""
    return Program("orchestr8", kubectl.kubeconfig, kubectl.home, kubectl.namespace)


@contextmanager
def _hollow(folder: Path) -> Iterator[Place]:
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.clients.hollow", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdin is not None and process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n", (folder / "log").read_text()[-3000:]
        found = Place(folder / "admin.kubeconfig", folder / "viewer.kubeconfig")
        kubectl = Program("kubectl", found.admin, folder)
        kubectl("wait", "--for=create", "namespace/default", "--timeout=30s")
        for name in ("w1", "w2"):
            kubectl("wait", "--for=create", f"node/{name}", "--timeout=30s")
            kubectl("wait", "--for=condition=Ready", f"node/{name}", "--timeout=30s")
        yield found
    finally:
        process.stdin.close()
        try:
            code = process.wait(timeout=10)
        finally:
            process.kill()
            process.stdout.close()
    assert code == 0, f"the cluster did not end cleanly:\n{(folder / 'log').read_text()[-3000:]}"
    assert "unforeseen error" not in (folder / "log").read_text()
