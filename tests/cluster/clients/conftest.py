"""The cluster that the clients talk to, and a namespace of its own for each test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

KUBECTL = str(Path(sys.executable).parent / "kubectl")
# Any image with a shell; the hollow cluster believes in every image but those named nowhere/...
IMAGE = os.environ.get("ORCHESTR8_TEST_IMAGE", "registry/busybox:1")
_COMMAND_SECONDS = 60


@dataclass(frozen=True)
class Kubeconfigs:
    """``viewer`` None: this cluster offers no such user."""

    admin: Path
    viewer: Path | None


@dataclass(frozen=True)
class Kubectl:
    """Calls kubectl as a person would: with a kubeconfig, in one namespace, with a cache of its own."""

    kubeconfig: Path
    home: Path
    namespace: str = "default"

    def __call__(
        self, *words: str, code: int = 0, stdin: str | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Fails the test when the exit code is not ``code``."""
        done = subprocess.run(
            self.command(*words),
            env=self.environment | (env or {}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
        )
        told = f"kubectl {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        assert done.returncode == code, told
        return done

    def command(self, *words: str) -> list[str]:
        return [KUBECTL, f"--namespace={self.namespace}", *words]

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "KUBECONFIG": str(self.kubeconfig)}

    def out(self, *words: str) -> str:
        return self(*words).stdout.strip()

    def start(self, *words: str, **how: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words),
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **how,
        )


@pytest.fixture(scope="session")
def kubeconfigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubeconfigs]:
    given = os.environ.get("ORCHESTR8_TEST_KUBECONFIG")
    if given:
        yield Kubeconfigs(Path(given), None)
        return
    folder = tmp_path_factory.mktemp("hollow")
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
        found = Kubeconfigs(folder / "admin.kubeconfig", folder / "viewer.kubeconfig")
        _until_ready(Kubectl(found.admin, folder))
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


@pytest.fixture
def kubectl(kubeconfigs: Kubeconfigs, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """In a namespace named after the test, which is deleted with all that is in it."""
    name = request.node.name.removeprefix("test_").replace("_", "-").split("[")[0][:50].strip("-")
    plain = Kubectl(kubeconfigs.admin, tmp_path)
    plain("apply", "-f", "-", stdin=f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
    yield Kubectl(kubeconfigs.admin, tmp_path, name)
    plain("delete", "namespace", name, "--timeout=30s")


def deployment(name: str = "web", replicas: int = 2, script: str = "", image: str = IMAGE) -> dict[str, Any]:
    """A Deployment whose containers run ``script`` in a shell."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": pod_spec(script, image),
            },
        },
    }


def pod(name: str, script: str = "", image: str = IMAGE, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {**pod_spec(script, image), **spec},
    }


def pod_spec(script: str, image: str) -> dict[str, Any]:
    command = ["sh", "-c", script or "trap 'exit 0' TERM; echo started; while true; do sleep 1; done"]
    return {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "image": image, "command": command}],
    }


def service(name: str = "web") -> dict[str, Any]:
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def _until_ready(kubectl: Kubectl, names: Sequence[str] = ("w1", "w2")) -> None:
    kubectl("wait", "--for=create", "namespace/default", "--timeout=30s")
    for name in names:
        kubectl("wait", "--for=create", f"node/{name}", "--timeout=30s")
        kubectl("wait", "--for=condition=Ready", f"node/{name}", "--timeout=30s")
