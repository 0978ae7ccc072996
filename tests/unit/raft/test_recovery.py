"""What a stopped master's files are worth: everything, or a refusal that says why."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from random import Random

import pytest
import trio

from orchestr8.errors import ConfigError, CorruptState
from orchestr8.raft import disk as disks
from orchestr8.raft import snapshot
from orchestr8.raft.disk import FolderDisk, SyncFailed
from orchestr8.raft.journal import Journal
from orchestr8.raft.recovery import recover, settle
from orchestr8.store.state import State
from tests.simulation.raft.disk import SimDisk
from tests.unit.raft.hand import entry


async def disk_with(entries: int, snapshot_at: int | None = None) -> SimDisk:
    disk = SimDisk(Random(0))
    journal, state = Journal(), State()
    await settle(disk, journal, "a")
    for index in range(2, entries + 2):
        command = entry(f"w{index}")
        journal.add(b"\0" + command, index, 1)
        if snapshot_at is None or index <= snapshot_at:
            state.apply(command)
    block = journal.take_block()
    await disk.append(block.segment, block.offset, block.data)
    if snapshot_at is not None:
        head = snapshot.Head(snapshot_at, 1, ("a",))
        await disk.replace(head.name, snapshot.encode(head, state.dump()))
    return disk


async def test_a_first_start_names_the_folder(autojump_clock: trio.testing.MockClock) -> None:
    disk = SimDisk(Random(0))
    found = await recover(disk, "a")
    await settle(disk, found.journal, "a")
    assert found.journal.pristine and disk.files["node-id"] == b"a\n"
    with pytest.raises(ConfigError, match="belongs to master 'a'"):
        await recover(disk, "b")


async def test_a_first_start_that_was_cut_short_starts_again(autojump_clock: trio.testing.MockClock) -> None:
    disk = await disk_with(0)
    del disk.files["node-id"]
    await recover(disk, "a")


async def test_a_snapshot_and_the_entries_after_it_come_back(autojump_clock: trio.testing.MockClock) -> None:
    found = await recover(await disk_with(10, snapshot_at=6), "a")
    assert (found.applied_index, found.state.revision, found.journal.last_index) == (6, 5, 11)


async def test_row_4_a_snapshot_newer_than_the_journal_starts_it_anew(autojump_clock: trio.testing.MockClock) -> None:
    disk = await disk_with(3, snapshot_at=None)
    newer = await disk_with(20, snapshot_at=15)
    name = snapshot.newest(list(newer.files))
    assert name is not None
    disk.files[name] = newer.files[name]
    found = await recover(disk, "a")
    assert (found.journal.base_index, found.journal.last_index, found.applied_index) == (15, 15, 15)


@pytest.mark.parametrize("place", [3, 20, 40, -20, -3])
async def test_row_9_a_damaged_snapshot_is_refused(place: int, autojump_clock: trio.testing.MockClock) -> None:
    disk = await disk_with(10, snapshot_at=6)
    name = snapshot.newest(list(disk.files))
    assert name is not None
    damaged = bytearray(disk.files[name])
    damaged[place] ^= 1
    disk.files[name] = bytes(damaged)
    with pytest.raises(CorruptState, match="snapshot"):
        await recover(disk, "a")


async def test_a_snapshot_cut_short_is_refused_at_every_length(autojump_clock: trio.testing.MockClock) -> None:
    disk = await disk_with(10, snapshot_at=6)
    name = snapshot.newest(list(disk.files))
    assert name is not None
    whole = disk.files[name]
    for end in range(0, len(whole), 11):
        with pytest.raises(CorruptState):
            _, chunks = snapshot.decode(name, whole[:end])
            State.load(chunks)


async def test_an_unfinished_snapshot_is_removed(autojump_clock: trio.testing.MockClock) -> None:
    disk = await disk_with(10, snapshot_at=6)
    disk.files["snapshot-99999999999999999999.new"] = b"half"
    disk.files["incoming.new"] = b"half"
    found = await recover(disk, "a")
    assert found.applied_index == 6
    assert not [name for name in disk.files if name.endswith(".new")]


@pytest.mark.parametrize("gone", ["wal-0000000000000001", "node-id"])
async def test_a_missing_file_is_refused(gone: str, autojump_clock: trio.testing.MockClock) -> None:
    disk = await disk_with(10, snapshot_at=6)
    del disk.files[gone]
    with pytest.raises(CorruptState, match="missing"):
        await recover(disk, "a")


async def test_a_missing_snapshot_is_refused_when_the_journal_needs_it(autojump_clock: trio.testing.MockClock) -> None:
    disk = await disk_with(0)
    journal = Journal()
    journal.restart_at(50, 3)
    block_name, data = journal.next_segment()
    journal.segment_begun(len(data))
    block = journal.take_block()
    disk.files[block_name] = data + block.data
    with pytest.raises(CorruptState, match="begins at 50"):
        await recover(disk, "a")


# -- the real disk -------------------------------------------------------------------------------------------------
async def test_the_real_disk_keeps_what_was_appended_replaced_and_renamed(tmp_path: Path) -> None:
    async with FolderDisk(tmp_path / "raft") as disk:
        await disk.replace("wal-1", [b"head", b"er"])
        await disk.append("wal-1", 6, b"block")
        await disk.append("wal-1", 6, b"block, longer")
        await disk.write("incoming.new", 0, b"piece")
        await disk.write("incoming.new", 5, b" two")
        await disk.rename("incoming.new", "snapshot-1")
        await disk.truncate("wal-1", 8)
        assert await disk.names() == ["snapshot-1", "wal-1"]
        assert await disk.read("wal-1") == b"headerbl"
        assert await disk.read("snapshot-1", 2, 3) == b"ece"
        await disk.remove("snapshot-1")
        await disk.remove("snapshot-1")
    assert (tmp_path / "raft").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "raft" / "wal-1").stat().st_mode & 0o777 == 0o600


async def test_the_real_disk_reports_an_error_of_the_system(tmp_path: Path) -> None:
    async with FolderDisk(tmp_path) as disk:
        with pytest.raises(FileNotFoundError):
            await disk.read("wal-1")


async def test_a_failed_fsync_is_told_apart_from_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async with FolderDisk(tmp_path) as disk:
        monkeypatch.setattr(disks.os, "fdatasync", fails)
        with pytest.raises(SyncFailed, match="can no longer be trusted"):
            await disk.append("wal-1", 0, b"x")
