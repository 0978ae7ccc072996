"""The cluster that the clients talk to, and a namespace of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.clients.programs import Program, kubeconfig_of
from tests.cluster.cluster import ORCHESTR8, Cluster
from tests.cluster.lab.inside import entered


@pytest.fixture(scope="package")
def viewer_kubeconfig(shared_cluster: Cluster) -> Path:
    """Of somebody who may read everything but Secrets."""
    file = shared_cluster.lab.folder / "viewer.kubeconfig"
    file.write_text(shared_cluster.masters[0].run([ORCHESTR8, "kubeconfig", "--viewer=vera"]).stdout)
    return file


@pytest.fixture
def namespace(shared_cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Named after the test, and deleted with all that is in it. Test and clients are on the segment, on no host."""
    name = request.node.name.removeprefix("test_").replace("_", "-").split("[")[0][:50].strip("-")
    kubectl = Program("kubectl", shared_cluster.kubeconfig, tmp_path)
    with entered(shared_cluster.lab.segment):
        kubectl("apply", "-f", "-", stdin=f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
        yield name
        kubectl("delete", "namespace", name, "--timeout=50s")


@pytest.fixture
def kubectl(shared_cluster: Cluster, namespace: str, tmp_path: Path) -> Program:
    """As the administrator."""
    kubeconfig = kubeconfig_of(shared_cluster.kubeconfig, namespace, tmp_path / "admin.kubeconfig")
    return Program("kubectl", kubeconfig, tmp_path, namespace)


@pytest.fixture
def cli(kubectl: Program) -> Program:
    """Ours, as the same person in the same namespace."""
    return Program("orchestr8", kubectl.kubeconfig, kubectl.home, kubectl.namespace)
