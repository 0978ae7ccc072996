"""From the files of a stopped master to the journal, state and index it goes on with.

Everything is checked before Raft sees it: a snapshot that cannot be read, a journal with damage before its end, or one
that does not reach back to the snapshot means CorruptState, because starting would invent or forget history. A journal
that ends before the snapshot (a power cut between the two when a leader's snapshot was installed) starts anew at it.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from orchestr8.errors import ConfigError, CorruptState
from orchestr8.raft import journal as journals
from orchestr8.raft import snapshot
from orchestr8.raft.disk import UNFINISHED, Disk
from orchestr8.raft.journal import Journal
from orchestr8.store.state import State

IDENTITY = "node-id"

_log = structlog.get_logger("orchestr8.raft")


@dataclass(frozen=True, slots=True)
class Recovered:
    """``snapshot``: the newest one, if any; ``state`` is what it holds and ``applied_index`` where it ends."""

    journal: Journal
    state: State
    applied_index: int
    snapshot: snapshot.Head | None


async def recover(disk: Disk, me: str) -> Recovered:
    """Raises CorruptState, or ConfigError when the files belong to another master."""
    names = await disk.names()
    for name in names:
        if name.endswith(UNFINISHED):
            await disk.remove(name)
    names = [name for name in names if not name.endswith(UNFINISHED)]
    head, state = await _load_snapshot(disk, names)
    segments = [name for name in names if name.startswith(journals.PREFIX)]
    found = journals.recover([(name, await disk.read(name)) for name in segments])
    await _check_identity(disk, names, me, fresh=head is None and found.journal.pristine)
    if found.torn is not None:
        name, size_bytes = found.torn
        _log.warning("cut an interrupted write off the journal", file=name, size_bytes=size_bytes)
        await disk.truncate(name, size_bytes)
    align(found.journal, head)
    return Recovered(found.journal, state, head.index if head is not None else 1, head)


async def _check_identity(disk: Disk, names: list[str], me: str, *, fresh: bool) -> None:
    """The first segment comes before the name: once a name is here, a missing journal is a loss, not a first start."""
    named = IDENTITY in names
    if named:
        owner = (await disk.read(IDENTITY)).decode(errors="replace").strip()
        if owner != me:
            raise ConfigError(
                f"this data belongs to master {owner!r}, not {me!r}: give each master a folder of its own"
            )
    if not any(name.startswith(journals.PREFIX) for name in names) and (named or not fresh):
        raise CorruptState("the journal is missing, and with it this master's votes: replace the master")
    if not named and not fresh:
        raise CorruptState(f"{IDENTITY} is missing beside the journal: restore the folder as a whole")


async def settle(disk: Disk, journal: Journal, me: str) -> None:
    """Opens the next segment, and on a first start says whose folder it is."""
    name, data = journal.next_segment()
    await disk.replace(name, [data])
    journal.segment_begun(len(data))
    if IDENTITY not in await disk.names():
        await disk.replace(IDENTITY, [me.encode() + b"\n"])


async def _load_snapshot(disk: Disk, names: list[str]) -> tuple[snapshot.Head | None, State]:
    name = snapshot.newest(names)
    if name is None:
        return None, State()
    head, chunks = snapshot.decode(name, await disk.read(name))
    if head.name != name:
        raise CorruptState(f"{name} holds the snapshot of index {head.index}")
    state = State.load(chunks)
    for older in names:
        if older.startswith(snapshot.PREFIX) and older != name:
            await disk.remove(older)
    return head, state


def align(journal: Journal, head: snapshot.Head | None) -> None:
    """Make the log go on from the snapshot. Raises CorruptState if it cannot."""
    reached = head.index if head is not None else 1
    if journal.base_index > reached:
        raise CorruptState(
            f"the journal begins at {journal.base_index}, but the snapshot ends at {reached}: one is missing"
        )
    if head is not None:
        journal.restart_at(head.index, head.term)
    if not journal.sound:
        raise CorruptState("the journal begins with entries that need a snapshot, and there is none")
