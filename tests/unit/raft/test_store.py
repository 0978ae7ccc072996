"""Three masters in one process, with real rpc and files on a network and disks in memory."""

from __future__ import annotations

import pytest
import trio

from orchestr8.errors import Conflict
from orchestr8.store.command import Compare, Key, Txn
from tests.simulation.raft.cluster import put, running


async def test_a_write_on_any_master_is_seen_on_all(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as cluster:
        for place, name in enumerate(cluster.members, start=1):
            assert await cluster.propose(name, put(f"on-{name}")) == place
            assert cluster.stores[name].view().stored("ConfigMap", "default", f"on-{name}") is not None
        await cluster.converge()


async def test_a_refused_transaction_raises_what_the_state_machine_said(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as cluster:
        await cluster.propose("m1", put("a"))
        for name in cluster.members:
            wrong = Txn(f"r-{name}", (Compare(Key("ConfigMap", "default", "a"), 77),), ())
            with pytest.raises(Conflict):
                await cluster.propose(name, wrong)
