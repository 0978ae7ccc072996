"""A cluster in one process, to point real clients at: a real master and real agents; only the containers are made up.

Run as ``python -m tests.cluster.clients.hollow FOLDER``. Listens on free ports of 127.0.0.1, writes
``admin.kubeconfig`` and ``viewer.kubeconfig`` into FOLDER, says "ready" and serves until its standard input ends.
Images named ``nowhere/...`` cannot be pulled; container commands are those of worker/runtime/script.py.
"""

from __future__ import annotations

import functools
import random
import socket
import sys
from pathlib import Path
from typing import Any

import trio

from orchestr8 import logs
from orchestr8.clock import Clock
from orchestr8.config import MasterSection, MasterSettings
from orchestr8.master.apiserver.deps import ApiDeps
from orchestr8.master.apiserver.server import serve_api
from orchestr8.master.main import Ground, serve_master
from orchestr8.names import system_names
from orchestr8.pki import ca, certificates, contexts, kubeconfig
from orchestr8.pki.files import Identity
from orchestr8.raft.disk import FolderDisk
from orchestr8.rpc.network import TlsNetwork
from orchestr8.supervise import Lifetime
from orchestr8.worker.agent.agent import run_on
from orchestr8.worker.agent.node.fake import FakeHost
from orchestr8.worker.agent.settings import AgentSettings
from orchestr8.worker.network.fake import FakeNetwork
from orchestr8.worker.runtime.base import ImagePullFailed
from orchestr8.worker.runtime.fake import FakeRuntime

HOST = "127.0.0.1"
WORKERS = ("w1", "w2")


async def serve(folder: Path, *, workers: tuple[str, ...] = WORKERS) -> None:
    logs.configure(level="info", format="json", journal=False)
    clock, chance = Clock(), random.Random(1)
    authority = ca.create(clock.now())
    api_port, rpc_port = _free_ports(2)
    identity = _identity(authority, certificates.master("m1", (HOST, "localhost")), clock)
    network = TlsNetwork(client=contexts.rpc_client(identity.ca_pem, identity), server=contexts.rpc_server(identity))
    settings = MasterSettings(
        master=MasterSection(
            name="m1", address=HOST, listen=HOST, api_port=api_port, rpc_port=rpc_port, data_dir=str(folder)
        )
    )

    async def api(deps: ApiDeps, *, stopping: trio.Event, task_status: trio.TaskStatus[Any]) -> None:
        tls = contexts.api_server(identity)
        async with trio.open_nursery() as serving:
            await serving.start(functools.partial(serve_api, deps, tls, HOST, api_port, stopping=stopping))
            listening.set()
            task_status.started()

    lifetime = Lifetime(lambda **fields: None)
    listening = trio.Event()
    async with FolderDisk(folder / "raft") as disk, trio.open_nursery() as nursery:
        ground = Ground(network, disk, clock, system_names(), chance)
        nursery.start_soon(functools.partial(serve_master, settings, ground, authority, lifetime, api=api))
        for index, name in enumerate(workers):
            own = _identity(authority, certificates.node(name), clock)
            nursery.start_soon(_work, name, f"10.0.1.{index + 1}", f"{HOST}:{rpc_port}", own, clock, nursery)
        for subject, file in ((certificates.admin(), "admin"), (certificates.viewer("vera"), "viewer")):
            text = kubeconfig.render(authority, subject, [f"https://{HOST}:{api_port}"], clock.now())
            (folder / f"{file}.kubeconfig").write_text(text)
        await listening.wait()
        print("ready", flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        lifetime.stop()
        await trio.sleep(0.5)
        nursery.cancel_scope.cancel()


async def _work(name: str, ip: str, master: str, identity: Identity, clock: Clock, nursery: trio.Nursery) -> None:
    runtime = FakeRuntime(nursery, clock, random.Random(name))
    pull = runtime.pull_image

    async def pull_image(reference: str) -> Any:
        if reference.startswith("nowhere/"):
            raise ImagePullFailed(f"cannot pull {reference}: no such host")
        return await pull(reference)

    runtime.pull_image = pull_image  # type: ignore[method-assign]
    await run_on(
        FakeHost(boot_id=name),
        AgentSettings(node_name=name, node_ip=ip, masters=(master,)),
        runtime=runtime,
        pod_network=FakeNetwork(),
        rpc_network=TlsNetwork(client=contexts.rpc_client(identity.ca_pem, identity)),
        clock=clock,
        random=random.Random(name),
    )


def _identity(authority: ca.Authority, subject: certificates.Subject, clock: Clock) -> Identity:
    key = ca.new_key()
    certificate_pem = certificates.issue(authority, key.public_key(), subject, clock.now())
    return Identity(authority.certificate_pem, certificate_pem, ca.key_to_pem(key))


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


if __name__ == "__main__":
    trio.run(serve, Path(sys.argv[1]))
