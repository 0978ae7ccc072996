"""Runs inside a host: the whole agent on Podman, the kernel's network and a real disk. The masters are in memory."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from orchestr8.api.config import ConfigMap, Secret
from orchestr8.api.meta import ObjectMeta
from orchestr8.api.pod import (
    ConfigMapVolumeSource,
    Container,
    EmptyDirVolumeSource,
    ExecAction,
    HTTPGetAction,
    Pod,
    PodSpec,
    Probe,
    ResourceRequirements,
    SecretVolumeSource,
    TCPSocketAction,
    Volume,
    VolumeMount,
)
from orchestr8.clock import Clock
from orchestr8.rpc.service import MASTERS, NODES
from orchestr8.worker.agent.main import run_agent
from orchestr8.worker.agent.settings import AgentSettings
from orchestr8.worker.network.kernel import KernelNetwork
from orchestr8.worker.runtime.podman import PodmanRuntime, open_podman
from tests.simulation.network import SimNetwork
from tests.unit.worker.agent.test_agent import read_logs
from tests.unit.worker.agent.world import Cluster, Master

SOCKET = os.environ["ORCHESTR8_TEST_PODMAN"]
IMAGE = "localhost/busybox:1"
SETTINGS = AgentSettings(node_name="w1", node_ip="10.77.0.11", masters=("m1:7443",), version="v0")


class Node:
    def __init__(self, runtime: PodmanRuntime, folder: Path, wire: SimNetwork, nursery: trio.Nursery) -> None:
        self.cluster = Cluster()
        self.master = Master(self.cluster, "m1")
        self.runtime = runtime
        self.clock = Clock()
        self._folder, self._wire, self._nursery = folder, wire, nursery
        self._scope = trio.CancelScope()

    async def start(self) -> None:
        self._scope = trio.CancelScope()

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            with self._scope:
                await run_agent(
                    SETTINGS,
                    self.runtime,
                    KernelNetwork(),
                    self._wire.host("w1", {NODES}, "w1:0"),
                    self.clock,
                    random.Random(1),
                    state_dir=self._folder / "state",
                    run_dir=self._folder / "run",
                    task_status=task_status,
                )

        await self._nursery.start(run)

    def stop(self) -> None:
        self._scope.cancel()

    def pod(self, name: str, *containers: Container, **spec: object) -> Pod:
        made = Pod(
            metadata=ObjectMeta(name=name, namespace="default", uid=f"uid-{name}"),
            spec=PodSpec(containers=containers, node_name="w1", termination_grace_period_seconds=1, **spec),  # type: ignore[arg-type]
        )
        self.cluster.put(made)
        return made

    async def ready(self, name: str) -> str:
        """The pod's address, once it is ready."""
        await self.cluster.until(lambda: self.cluster.ready(f"uid-{name}"))
        return self.cluster.statuses[f"uid-{name}"].pod_ip or ""


@asynccontextmanager
async def node(folder: Path) -> AsyncIterator[Node]:
    async with open_podman(SOCKET) as runtime, trio.open_nursery() as nursery:
        wire = SimNetwork(random.Random(1), delay_seconds=(0.0, 0.0))
        made = Node(runtime, folder, wire, nursery)
        await nursery.start(partial(made.master.serve, wire.host("m1", {MASTERS}, "m1:7443")))
        await made.start()
        yield made
        for pod in [obj for obj in made.cluster.objects.values() if isinstance(obj, Pod)]:
            made.cluster.delete(pod, made.clock, grace_seconds=0)
        await made.cluster.until(lambda: not any(isinstance(obj, Pod) for obj in made.cluster.objects.values()))
        assert await runtime.list_sandboxes() == []
        nursery.cancel_scope.cancel()
    for mounted in [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]:
        if mounted.startswith(f"{folder}/"):
            subprocess.run(["umount", mounted], check=True)


def server(**fields: object) -> Container:
    script = "mkdir -p /www; echo hello >/www/index.html; exec httpd -f -p 8080 -h /www"
    return Container(name="web", image=IMAGE, command=("sh", "-c", script), **fields)  # type: ignore[arg-type]


async def fetch(ip: str) -> str:
    command = ["curl", "-s", "-m", "3", f"http://{ip}:8080/"]
    done = await trio.run_process(command, capture_stdout=True, check=False)
    return done.stdout.decode()


async def test_a_pod_answers_on_its_own_address_and_a_killed_process_runs_again(tmp_path: Path) -> None:
    async with node(tmp_path) as n:
        probe = Probe(http_get=HTTPGetAction(port=8080), period_seconds=1)
        began = trio.current_time()
        n.pod("web", server(readiness_probe=probe))
        await n.cluster.until(lambda: n.cluster.phase("uid-web") == "Running")
        print(f"\napply to Running: {trio.current_time() - began:.3f} s")
        ip = await n.ready("web")
        assert await fetch(ip) == "hello\n"
        (sandbox,) = await n.runtime.list_sandboxes()
        began = trio.current_time()
        os.kill(sandbox.containers[0].pid, signal.SIGKILL)
        await n.cluster.until(lambda: n.cluster.restarts("uid-web") == 1)
        print(f"killed to running again: {trio.current_time() - began:.3f} s")
        assert await n.ready("web") == ip
        assert await fetch(ip) == "hello\n"


async def test_many_pods_start_together(tmp_path: Path) -> None:
    async with node(tmp_path) as n:
        began = trio.current_time()
        for index in range(10):
            n.pod(f"many-{index}", server())
        addresses = [await n.ready(f"many-{index}") for index in range(10)]
        print(f"\nten pods: {trio.current_time() - began:.2f} s")
        assert len(set(addresses)) == 10
        assert [await fetch(ip) for ip in addresses] == ["hello\n"] * 10


async def test_a_restarted_agent_finds_its_pod_running_and_reachable(tmp_path: Path) -> None:
    async with node(tmp_path) as n:
        n.pod("web", server())
        ip = await n.ready("web")
        await trio.sleep(1)
        before = await n.runtime.list_sandboxes()
        n.stop()
        n.cluster.told.clear()
        await n.start()
        await n.cluster.until(lambda: bool(n.cluster.told))
        assert await n.runtime.list_sandboxes() == before
        assert await fetch(ip) == "hello\n"


async def test_volumes_limits_and_probes_of_every_kind(tmp_path: Path) -> None:
    async with node(tmp_path) as n:
        n.cluster.put(ConfigMap(metadata=ObjectMeta(name="conf", namespace="default"), data={"greeting": "hello"}))
        n.cluster.put(Secret(metadata=ObjectMeta(name="key", namespace="default"), data={"token": b"s3cret"}))
        mounts = (
            VolumeMount(name="conf", mount_path="/conf"),
            VolumeMount(name="key", mount_path="/key", read_only=True),
            VolumeMount(name="scratch", mount_path="/scratch"),
        )
        reader = Container(
            name="reader",
            image=IMAGE,
            command=("sh", "-c", "cat /conf/greeting; cat /key/token; ls -l /key/..data/token; exec sleep 600"),
            volume_mounts=mounts,
            resources=ResourceRequirements(limits={"cpu": "250m", "memory": "32Mi"}, requests={"cpu": "100m"}),
            liveness_probe=Probe(exec=ExecAction(command=("test", "-d", "/scratch")), period_seconds=1),
        )
        writer = server(
            volume_mounts=mounts[2:], startup_probe=Probe(tcp_socket=TCPSocketAction(port=8080), period_seconds=1)
        )
        volumes = (
            Volume(name="conf", config_map=ConfigMapVolumeSource(name="conf")),
            Volume(name="key", secret=SecretVolumeSource(secret_name="key", default_mode=0o400)),
            Volume(name="scratch", empty_dir=EmptyDirVolumeSource(medium="Memory", size_limit="1Mi")),
        )
        n.pod("pair", reader, writer, volumes=volumes)
        await n.ready("pair")
        text = await read_logs(n.master.connections[0], uid="uid-pair", container="reader")
        assert text.startswith(b"hellos3cret") and b"-r--------" in text
        assert n.cluster.statuses["uid-pair"].qos_class == "Burstable"

        n.cluster.put(ConfigMap(metadata=ObjectMeta(name="conf", namespace="default"), data={"greeting": "changed"}))
        params = {"uid": "uid-pair", "container": "reader", "command": ["cat", "/conf/greeting"]}
        with trio.fail_after(10):
            output = b""
            while output != b"changed":
                async with n.master.connections[0].stream("pod.exec", params) as stream:
                    output = b"".join([message.get("data", b"") async for message in stream])


async def test_a_real_pull_and_a_missing_image(tmp_path: Path) -> None:
    async with node(tmp_path) as n:
        web = Container(name="web", image="registry.lab:5000/web:1", image_pull_policy="Always")
        n.pod("pulled", web)
        n.pod("missing", Container(name="web", image="registry.lab:5000/nothing:1"))
        assert "web:1" in await fetch(await n.ready("pulled"))
        await n.cluster.until(lambda: n.cluster.waiting("uid-missing") == "ErrImagePull")
        await n.cluster.until(lambda: n.cluster.waiting("uid-missing") == "ImagePullBackOff")
