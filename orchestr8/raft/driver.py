"""The one task that drives a replica, with its two helpers: one writes the journal, the other makes snapshots.

A round: take what came in, hand proposals over in batches, tick, send what may leave, tell who waits. Rounds happen
when something came in, a write is safe, a proposal waits, or the replica's next deadline is due; an idle master
therefore wakes a few times a second. Writing and fsync run beside the rounds, so a slow disk delays acknowledgements,
not heartbeats. Disk full is a condition (nothing is acknowledged, the leader falls back, writing is tried again); a
failed fsync and an error out of a tick end the process: the caller sees them raised here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgpack
import structlog
import trio

from orchestr8 import limits
from orchestr8.raft.disk import Disk, SyncFailed
from orchestr8.raft.messages import Message
from orchestr8.raft.recovery import settle
from orchestr8.raft.replica import Applied, NotApplied, Outcome, Replica
from orchestr8.raft.signals import Milestones, Signal
from orchestr8.raft.snapshot import Head, encode
from orchestr8.store.state import State

BATCH_BYTES = limits.LOG_ENTRY_BYTES // 2  # with one transaction more it still is an entry
_DISK_FULL_PAUSE_SECONDS = 1.0

_log = structlog.get_logger("orchestr8.raft")


@dataclass(slots=True)
class Proposal:
    """One encoded command on its way into the log. ``answer`` is called once and must not raise."""

    command: bytes
    answer: Callable[[Outcome, int], None]  # the outcome of its entry, its place in the entry
    given_up: bool = False


@dataclass(slots=True)
class Driver:
    replica: Replica
    disk: Disk
    members: tuple[str, ...]
    snapshot: Head | None
    send: Callable[[str, Message], None] = lambda _peer, _message: None
    send_snapshot: Callable[[str, trio.Nursery], None] = lambda _peer, _nursery: None
    on_change: Callable[[], None] = lambda: None  # runs in the round that changed role or leader
    applied: Milestones = field(init=False)
    changed: Signal = field(default_factory=Signal)  # role, leader, or a snapshot put in place of the state
    advanced: Signal = field(default_factory=Signal)  # entries were applied
    handing_over: bool = False
    disk_error: str = ""
    _inbox: deque[tuple[str, Message | bool]] = field(default_factory=deque)  # True: connected, False: disconnected
    _proposals: deque[Proposal] = field(default_factory=deque)
    _wake: trio.Event = field(default_factory=trio.Event)
    _dirty: trio.Event = field(default_factory=trio.Event)
    _room: Signal = field(default_factory=Signal)
    _flushed: bool = False
    _snapshotting: bool = False
    _seen: tuple[str | None, int, bool, frozenset[str]] | None = None

    def __post_init__(self) -> None:
        self.applied = Milestones(self.replica.applied_index)

    # -- from links and callers ------------------------------------------------------------------------------
    def connected(self, peer: str) -> None:
        self._inbox.append((peer, True))
        self.wake()

    def disconnected(self, peer: str) -> None:
        self._inbox.append((peer, False))
        self.wake()

    async def received(self, peer: str, message: Message) -> None:
        while len(self._inbox) >= limits.RAFT_PEER_QUEUE_MESSAGES:
            await self._room.wait()
        self._inbox.append((peer, message))
        if not self.replica.changes_nothing(message):
            self.wake()

    def propose(self, proposal: Proposal) -> None:
        self._proposals.append(proposal)
        self.wake()

    def wake(self) -> None:
        self._wake.set()

    # -- the task --------------------------------------------------------------------------------------------
    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_journal)
            while True:
                self._round(trio.current_time(), nursery)
                with trio.move_on_at(self.replica.next_wake()):
                    await self._wake.wait()
                self._wake = trio.Event()

    def _round(self, now: float, nursery: trio.Nursery) -> None:
        replica = self.replica
        if self._flushed:
            self._flushed = False
            replica.flushed(now)
        while self._inbox:
            peer, message = self._inbox.popleft()
            if message is True:
                replica.connect(peer, now)
            elif message is False:
                replica.disconnect(peer, now)
            else:
                replica.receive(peer, message, now)
        self._room.fire()
        self._hand_over_batches()
        replica.tick(now)
        if replica.journal.dirty:
            self._dirty.set()
        for peer, message in replica.take_messages():
            self.send(peer, message)
        for peer in replica.take_snapshot_wanted():
            self.send_snapshot(peer, nursery)
        self._tell()
        self._compact_if_due(nursery)

    def _hand_over_batches(self) -> None:
        if not self.replica.leads:
            waiting, self._proposals = self._proposals, deque()
            for proposal in waiting:
                proposal.answer(NotApplied(), 0)
            return
        while self._proposals and self.replica.may_propose and not self.handing_over:
            batch: list[Proposal] = []
            size = 0
            while self._proposals and len(batch) < limits.LOG_ENTRY_TXNS and size < BATCH_BYTES:
                proposal = self._proposals.popleft()
                if not proposal.given_up:
                    batch.append(proposal)
                    size += len(proposal.command)
            if batch:
                entry = msgpack.Packer().pack_array_header(len(batch)) + b"".join(each.command for each in batch)
                self.replica.propose(entry, lambda outcome, batch=batch: _answer(batch, outcome))  # type: ignore[misc]

    def _tell(self) -> None:
        replica = self.replica
        if replica.applied_index != self.applied.reached:
            self.applied.reach(replica.applied_index)
            self.advanced.fire()
            if self._proposals and replica.may_propose:
                self.wake()  # the entries in flight were in the way
        seen = (replica.leader, replica.term, replica.serves, frozenset(replica.connected))
        if seen != self._seen:
            if self._seen is None or seen[0] != self._seen[0]:
                _log.info("leader", leader=replica.leader, term=replica.term)
            self._seen = seen
            self.on_change()
            self.changed.fire()

    # -- the journal -------------------------------------------------------------------------------------------
    async def _write_journal(self) -> None:
        journal = self.replica.journal
        while True:
            if not journal.dirty:
                self._dirty = trio.Event()
                await self._dirty.wait()
            try:
                if journal.segment_is_full:
                    await settle(self.disk, journal, self.replica.me)
                block = journal.take_block()
                await self.disk.append(block.segment, block.offset, block.data)
            except SyncFailed:
                raise
            except OSError as error:
                self._note_disk(str(error))
                await trio.sleep(_DISK_FULL_PAUSE_SECONDS)
                continue
            self._note_disk("")
            journal.block_safe()
            self._flushed = True
            self.wake()

    def _note_disk(self, error: str) -> None:
        if error != self.disk_error:
            if error:
                _log.error("cannot write the journal; nothing is acknowledged until it works again", reason=error)
            else:
                _log.info("the journal is written again")
        self.disk_error = error
        self.replica.disk_full = bool(error)

    # -- snapshots -----------------------------------------------------------------------------------------------
    def _compact_if_due(self, nursery: trio.Nursery) -> None:
        journal = self.replica.journal
        reached = self.snapshot.index if self.snapshot is not None else 1
        applied = self.replica.applied_index
        due = applied - reached > limits.LOG_ENTRIES_BEFORE_SNAPSHOT
        due = due or (applied > reached and journal.bytes_in_memory > limits.LOG_BYTES_BEFORE_SNAPSHOT)
        if due and not self._snapshotting:
            self._snapshotting = True
            nursery.start_soon(self._make_snapshot)

    async def _make_snapshot(self) -> None:
        replica = self.replica
        term = replica.journal.term_at(replica.applied_index)
        assert term is not None
        head = Head(replica.applied_index, term, self.members)
        chunks = replica.state.dump()
        try:
            await self.disk.replace(head.name, encode(head, chunks))
        except SyncFailed:
            raise
        except OSError as error:
            _log.error("cannot write a snapshot; the journal grows until it works again", reason=str(error))
            await trio.sleep(_DISK_FULL_PAUSE_SECONDS)
        else:
            await self.use_snapshot(head)
        finally:
            self._snapshotting = False

    async def use_snapshot(self, head: Head) -> None:
        """``head`` names a whole file on disk: forget what it makes superfluous."""
        if self.snapshot is not None and self.snapshot.index >= head.index:
            return
        old, self.snapshot = self.snapshot, head
        journal = self.replica.journal
        entries, size = limits.LOG_ENTRIES_KEPT_AFTER_SNAPSHOT, limits.LOG_BYTES_KEPT_AFTER_SNAPSHOT
        journal.forget_before(journal.keep_from(head.index, entries, size))
        for name in journal.take_obsolete():
            await self.disk.remove(name)
        if old is not None:
            await self.disk.remove(old.name)

    def install(self, state: State, head: Head) -> bool:
        """Put a leader's snapshot, which is on disk under its name, in the place of the state."""
        installed = self.replica.install(state, head.index, head.term, trio.current_time())
        self.changed.fire()
        self.wake()
        return installed


def _answer(batch: list[Proposal], outcome: Outcome) -> None:
    fits = not isinstance(outcome, Applied) or len(outcome.results) == len(batch)
    for place, proposal in enumerate(batch):
        proposal.answer(outcome, place if fits else 0)
