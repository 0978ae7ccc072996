"""One master's store as a process of its own, moved by lines of JSON on stdin, answering on stdout.

`python -m tests.cluster.raft.master FOLDER NAME MEMBERS_JSON`; the folder holds the certificate and gets the log.
Orders: {"do": "load", "writers", "seconds", "bytes", "prefix", "tell"}, "names", "status", "transfer", "cpu".
With "tell" each acknowledged write is a line {"ack": name, "revision", "at"} before the writer goes on.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog
import trio

from orchestr8.errors import OutcomeUnknown, TooManyRequests, Unavailable
from orchestr8.pki import contexts, files
from orchestr8.raft.disk import FolderDisk
from orchestr8.raft.store import RaftSettings, ReplicatedStore, open_store
from orchestr8.rpc import server
from orchestr8.rpc.network import TlsNetwork
from orchestr8.rpc.service import Service
from orchestr8.store.command import Key, Put, Txn

_WRITE_SECONDS = 20.0


def tell(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def config_map(name: str, size_bytes: int) -> bytes:
    head = b'{"metadata":{"name":"%s","namespace":"bench"},"data":{"x":"' % name.encode()
    return head + b"x" * max(0, size_bytes - len(head) - 3) + b'"}}'


async def load(store: ReplicatedStore, order: dict[str, Any]) -> dict[str, Any]:
    latencies: list[float] = []
    unknown = 0
    run = random.getrandbits(48)

    async def writer(number: int) -> None:
        nonlocal unknown
        sequence = 0
        while trio.current_time() < end:
            sequence += 1
            # told writes are all different objects; a plain load overwrites one object per writer
            name = f"{order['prefix']}-{number}" + (f"-{run:x}-{sequence}" if order.get("tell") else "")
            put = Put(Key("ConfigMap", "bench", name), config_map(name, order["bytes"]))
            began = trio.current_time()
            try:
                with trio.fail_after(_WRITE_SECONDS):
                    result = await store.propose(Txn(f"{run:x}/{number}/{sequence}", (), (put,)))
            except (OutcomeUnknown, Unavailable, TooManyRequests, trio.TooSlowError):
                unknown += 1
                continue
            latencies.append(trio.current_time() - began)
            if order.get("tell"):
                tell(ack=name, revision=result.revision, at=time.monotonic())

    began = trio.current_time()
    end = began + order["seconds"]
    async with trio.open_nursery() as nursery:
        for number in range(order["writers"]):
            nursery.start_soon(writer, number)
    seconds = trio.current_time() - began
    latencies.sort()
    return {
        "writes": len(latencies),
        "per_second": round(len(latencies) / seconds, 1),
        "p50_ms": round(1000 * latencies[len(latencies) // 2], 2) if latencies else None,
        "p99_ms": round(1000 * latencies[len(latencies) * 99 // 100], 2) if latencies else None,
        "unknown": unknown,
    }


async def obey(store: ReplicatedStore, order: dict[str, Any]) -> dict[str, Any]:
    match order["do"]:
        case "load":
            return await load(store, order)
        case "names":
            with trio.fail_after(_WRITE_SECONDS):
                await store.read_barrier()
            found = store.view().stored_list("ConfigMap")
            return {
                "names": {each.key.name: each.revision for each in found},
                "digest": store.digest(),
                "index": store.status().applied_index,
            }
        case "status":
            return asdict(store.status())
        case "transfer":
            began = trio.current_time()
            return {"handed_over": await store.transfer_leadership(), "seconds": trio.current_time() - began}
        case "cpu":
            return {"cpu_seconds": time.process_time(), "at": time.monotonic()}
        case other:
            raise SystemExit(f"unknown order {other!r}")


async def main(folder: Path, name: str, members: dict[str, str]) -> None:
    identity = files.load_identity(folder)
    assert identity is not None
    network = TlsNetwork(client=contexts.rpc_client(identity.ca_pem, identity), server=contexts.rpc_server(identity))
    service = Service()

    async def answer(store: ReplicatedStore, order: dict[str, Any]) -> None:
        tell(answer=order.get("id"), **await obey(store, order))

    async with FolderDisk(folder / "raft") as disk:
        settings = RaftSettings(name, members)
        async with open_store(settings, network, disk, random.SystemRandom(), service) as store:
            async with trio.open_nursery() as nursery:
                await nursery.start(server.serve, network, members[name], service)
                tell(ready=name, pid=os.getpid())
                buffer = b""
                async with trio.lowlevel.FdStream(os.dup(0)) as orders:
                    async for data in orders:
                        *lines, buffer = (buffer + data).split(b"\n")
                        for line in lines:
                            nursery.start_soon(answer, store, json.loads(line))
                nursery.cancel_scope.cancel()


if __name__ == "__main__":
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.LogfmtRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    trio.run(main, Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
