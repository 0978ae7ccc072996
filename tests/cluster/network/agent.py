"""Runs in a host of the lab and drives a KernelNetwork: one JSON request a line, one JSON answer a line.

Requests: ``[verb, arguments]``; answers: ``["ok", value]`` or ``["failed", message]``.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import trio

from orchestr8.worker.network.base import NetworkFailed, NodeRoute, ServicePort
from orchestr8.worker.network.kernel import KernelNetwork

_SHAPES: dict[str, Any] = {"sync_routes": tuple[NodeRoute, ...], "sync_services": tuple[ServicePort, ...]}


async def main() -> None:
    network = KernelNetwork()
    while line := await trio.to_thread.run_sync(sys.stdin.buffer.readline):
        verb, arguments = msgspec.json.decode(line)
        if verb in _SHAPES:
            arguments = [msgspec.convert(arguments[0], _SHAPES[verb])]
        try:
            answer = ["ok", await getattr(network, verb)(*arguments)]
        except NetworkFailed as error:
            answer = ["failed", error.message]
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    trio.run(main)
