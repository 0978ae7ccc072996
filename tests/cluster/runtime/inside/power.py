"""``python -m tests.cluster.runtime.inside.power start|look|again SOCKET``: one step of the power cut test, as JSON."""

from __future__ import annotations

import json
import sys

import trio

from orchestr8.worker.runtime.base import ContainerSpec, Sandbox, SandboxSpec
from orchestr8.worker.runtime.podman import PodmanRuntime, open_podman


async def main(step: str, socket_path: str) -> None:
    async with open_podman(socket_path) as runtime:
        match step:
            case "start":
                spec = SandboxSpec(pod_uid="power", namespace="default", name="power", hostname="power")
                await begin(runtime, await runtime.create_sandbox(spec), 0)
            case "again":
                (sandbox,) = await runtime.list_sandboxes()
                await begin(runtime, await runtime.start_sandbox(sandbox.id), 1)
        (sandbox,) = await runtime.list_sandboxes()
        state = sandbox.containers[-1]
        told = {"id": state.id, "phase": state.phase.value, "exit_code": state.exit_code}
        print(json.dumps({**told, "network_pid": sandbox.network_pid}))
        if step == "again":
            await runtime.remove_sandbox(sandbox.id)


async def begin(runtime: PodmanRuntime, sandbox: Sandbox, attempt: int) -> None:
    spec = ContainerSpec(name="main", attempt=attempt, image="localhost/busybox:1", command=("sleep", "600"))
    await runtime.start_container(await runtime.create_container(sandbox, spec))


trio.run(main, sys.argv[1], sys.argv[2])
