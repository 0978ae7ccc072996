"""Lets programs of this machine talk to the kept demo: 127.0.0.1 here, a master there.

``python forward.py FD HOST PORT``: FD is a listening socket made outside; this process runs inside the lab's network,
so what it connects to is there. Ends with the lab.
"""

from __future__ import annotations

import socket
import sys

import trio


async def main(descriptor: int, host: str, port: int) -> None:
    async def forward(client: trio.SocketStream) -> None:
        try:
            async with await trio.open_tcp_stream(host, port) as server, trio.open_nursery() as nursery:
                nursery.start_soon(_copy, client, server)
                nursery.start_soon(_copy, server, client)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            await client.aclose()

    listener = trio.SocketListener(trio.socket.from_stdlib_socket(socket.socket(fileno=descriptor)))
    await trio.serve_listeners(forward, [listener])


async def _copy(source: trio.SocketStream, target: trio.SocketStream) -> None:
    async for data in source:
        await target.send_all(data)
    await target.send_eof()


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
