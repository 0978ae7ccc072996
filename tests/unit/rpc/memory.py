"""Two ends of one in-memory byte stream, each with a live connection: rpc without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from orchestr8.rpc.live import Connection, live
from orchestr8.rpc.service import MASTERS, NODES, Peer, Service

MASTER = Peer("m1", frozenset({MASTERS}), "10.0.0.1:7443")
NODE = Peer("w1", frozenset({NODES}), "10.0.0.9:40000")
STRANGER = Peer("", frozenset(), "10.0.0.66:40000")


@asynccontextmanager
async def pair(
    offered: Service, offered_back: Service | None = None, asker: Peer = NODE
) -> AsyncIterator[tuple[Connection, Connection]]:
    """(the asker's connection, the serving side's connection)."""
    here, there = trio.testing.memory_stream_pair()
    async with live(here, MASTER, offered_back or Service()) as asking:
        async with live(there, asker, offered) as serving:
            yield asking, serving
