"""Nodes that are only their word: ``python -m tests.bench.hollow PKI_FOLDER COUNT MASTER,MASTER,... [--follow]``.

Each has its own certificate and connection, registers, sends heartbeats, and with ``--follow`` reads its assignments as
a worker does. They run nothing and report no pod. PKI_FOLDER: the cluster's CA with its key. Prints ``ready`` when all
are registered; ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
from pathlib import Path

import trio

from orchestr8 import limits
from orchestr8.api import codec
from orchestr8.api.meta import ObjectMeta
from orchestr8.api.node import Node, NodeAddress, NodeCondition, NodeStatus, NodeSystemInfo
from orchestr8.errors import Unavailable
from orchestr8.pki import ca, certificates, contexts, files
from orchestr8.rpc.client import Connection, connect
from orchestr8.rpc.network import TlsNetwork

_AT_ONCE = 8
LABEL = "hollow"


def node(name: str, number: int) -> Node:
    size = {"cpu": "32", "memory": "64Gi", "ephemeral-storage": "100Gi", "pods": "110"}
    address = NodeAddress(type="InternalIP", address=f"10.200.{number // 250}.{number % 250 + 1}")
    return Node(
        metadata=ObjectMeta(name=name, labels={LABEL: "yes"}),
        status=NodeStatus(
            addresses=(address,),
            capacity=size,
            allocatable=size,
            conditions=(NodeCondition(type="Ready", status="True", reason="KubeletReady"),),
            node_info=NodeSystemInfo(operating_system="linux", architecture="amd64", kubelet_version="hollow"),
        ),
    )


async def main(authority: ca.Authority, count: int, masters: list[str], follow: bool) -> None:
    starting = trio.CapacityLimiter(_AT_ONCE)
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as registering:
            for number in range(count):
                registering.start_soon(_start, nursery, starting, authority, number, masters, follow)
        print("ready", flush=True)
        async with trio.lowlevel.FdStream(os.dup(0)) as orders:
            async for _ in orders:
                pass
        nursery.cancel_scope.cancel()


async def _start(
    nursery: trio.Nursery,
    starting: trio.CapacityLimiter,
    authority: ca.Authority,
    number: int,
    masters: list[str],
    follow: bool,
) -> None:
    async with starting:
        await nursery.start(_live, authority, number, masters[number % len(masters)], follow)


async def _live(
    authority: ca.Authority, number: int, master: str, follow: bool, *, task_status: trio.TaskStatus[None]
) -> None:
    name = f"hollow-{number:03}"
    key = ca.new_key()
    certificate = certificates.issue(authority, key.public_key(), certificates.node(name), dt.datetime.now(dt.UTC))
    identity = files.Identity(authority.certificate_pem, certificate, ca.key_to_pem(key))
    network = TlsNetwork(client=contexts.rpc_client(identity.ca_pem, identity))
    async with connect(network, master) as connection, trio.open_nursery() as nursery:
        await connection.call("node.register", {"node": codec.encode(node(name, number))})
        task_status.started()
        if follow:
            nursery.start_soon(_follow, connection)
        for sequence in range(1, sys.maxsize):
            # A master that has just started refuses until it is in touch with the others.
            with contextlib.suppress(Unavailable):
                await connection.call("node.heartbeat", {"boot_id": name, "sequence": sequence})
            await trio.sleep(limits.HEARTBEAT_SECONDS)


async def _follow(connection: Connection) -> None:
    async with connection.stream("node.assignments", {"revision": 0}) as stream:
        async for _ in stream:
            pass


if __name__ == "__main__":
    folder, wanted, addresses, *options = sys.argv[1:]
    found = files.load_authority(Path(folder))
    if found is None:
        sys.exit(f"{folder} holds no CA")
    trio.run(main, found, int(wanted), addresses.split(","), "--follow" in options)
