"""Two nodes with real networks; pods are programs in namespaces of their own, without Podman."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict, Unpack

import msgspec
import pytest

from orchestr8.worker.network.base import Backend, NodeRoute, ServicePort
from tests.cluster.conftest import MakeLab
from tests.cluster.lab import Host, HostProcess, Lab

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
SERVICE_CIDR = "10.96.0.0/16"


class Question(TypedDict, total=False):
    """``count`` questions; with a source port other than 0 all UDP ones are one flow."""

    protocol: str
    count: int
    source_port: int


class Pod:
    """A namespace of its own on a node, with a program that tells who asks."""

    def __init__(self, host: Host, name: str, ip: str) -> None:
        self.host, self.name, self.ip = host, name, ip
        self._process = host.popen(["unshare", "--net", *answering(name)], stdout=subprocess.PIPE)
        wait_listening(self._process)

    @property
    def pid(self) -> int:
        """As the node sees it."""
        status = Path(f"/proc/{self._process.inner_pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1])

    @property
    def backend(self) -> Backend:
        return Backend(self.ip, 8080)

    def end(self) -> None:
        self._process.kill()
        self._process.wait(timeout=5)

    def ask(self, address: str, port: int = 8080, **question: Unpack[Question]) -> list[str]:
        inside = ["nsenter", "--target", str(self.pid), "--net", "--"]
        return self.host.run([*inside, *asking(address, port, **question)]).stdout.splitlines()


class Network:
    """The verbs of one node's KernelNetwork, which runs in the host."""

    def __init__(self, host: Host, node_ip: str) -> None:
        self.host, self.node_ip = host, node_ip
        self._process: HostProcess = host.popen(
            [sys.executable, "-m", "tests.cluster.network.agent"],
            cwd=str(ROOT), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __getattr__(self, verb: str) -> Any:
        def call(*arguments: object) -> Any:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(msgspec.json.encode([verb, arguments]) + b"\n")
            self._process.stdin.flush()
            outcome, value = json.loads(self._process.stdout.readline())
            if outcome != "ok":
                raise RuntimeError(value)
            return value

        return call

    def end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(timeout=5)

    def ask(self, address: str, port: int, **question: Unpack[Question]) -> list[str]:
        return self.host.run(asking(address, port, **question)).stdout.splitlines()


class Nodes:
    """``w1`` with pods a and b, ``w2`` with pods c and d; all links and routes are up, no Services."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.w1, self.w2 = (Network(lab[name], lab[name].ip) for name in ("w1", "w2"))
        self.networks = [self.w1, self.w2]
        self.w1.open(lab["w1"].ip, "10.70.1.0/24", SERVICE_CIDR)
        self.w2.open(lab["w2"].ip, "10.70.2.0/24", SERVICE_CIDR)
        self.w1.sync_routes([NodeRoute(node="w2", node_ip=lab["w2"].ip, pod_cidr="10.70.2.0/24")])
        self.w2.sync_routes([NodeRoute(node="w1", node_ip=lab["w1"].ip, pod_cidr="10.70.1.0/24")])
        self.a, self.b = Pod(lab["w1"], "a", "10.70.1.5"), Pod(lab["w1"], "b", "10.70.1.6")
        self.c, self.d = Pod(lab["w2"], "c", "10.70.2.5"), Pod(lab["w2"], "d", "10.70.2.6")
        for network, pods in ((self.w1, (self.a, self.b)), (self.w2, (self.c, self.d))):
            for pod in pods:
                network.attach(f"uid-{pod.name}", pod.pid, pod.ip)

    def serve(self, *ports: ServicePort) -> None:
        """The same Services on both nodes, each with its own local backends."""
        for network, prefix in ((self.w1, "10.70.1."), (self.w2, "10.70.2.")):
            network.sync_services([msgspec.structs.replace(p, local_backends=_of(p.backends, prefix)) for p in ports])

    def ask_from_outside(self, address: str, port: int, **question: Unpack[Question]) -> list[str]:
        return self.lab.outside(asking(address, port, **question)).splitlines()


@pytest.fixture(scope="module")
def nodes(session_lab_of: MakeLab) -> Iterator[Nodes]:
    with session_lab_of("w1", "w2") as lab:
        nodes = Nodes(lab)
        yield nodes
        for network in nodes.networks:
            network.end()


def _of(backends: tuple[Backend, ...], prefix: str) -> tuple[Backend, ...]:
    return tuple(backend for backend in backends if backend.ip.startswith(prefix))


def answering(name: str) -> list[str]:
    """The program that tells who it is and who asks, on port 8080 of where it is started."""
    return [sys.executable, str(HERE / "backend.py"), name]


def wait_listening(process: subprocess.Popen[Any]) -> None:
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == b"listening\n"


def asking(address: str, port: int, protocol: str = "tcp", count: int = 1, source_port: int = 0) -> list[str]:
    """The program that asks; one line per answer."""
    return [sys.executable, str(HERE / "ask.py"), protocol, address, str(port), str(count), str(source_port)]
