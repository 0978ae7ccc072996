"""Raft under faults, deterministic and fast: real replicas, journals, snapshots, states; simulated time, wire, disk.

One seed is one history of 3 or 5 masters: messages with delays, links that reset, partitions (both ways or one way,
short or long), crashes of one or all with what was not safe lost and the last write torn, slow disks, snapshots,
hand-overs. Small append batches provoke pipelining. The invariants are checked all along; at the end everything heals
and must converge. `.venv/bin/python -m tests.simulation.raft SEED` replays one.
"""

from __future__ import annotations

import heapq
import itertools
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from orchestr8.errors import CorruptState
from orchestr8.raft import journal as journals
from orchestr8.raft import snapshot
from orchestr8.raft.guard import Guard
from orchestr8.raft.journal import Block, Journal
from orchestr8.raft.messages import Message
from orchestr8.raft.recovery import align
from orchestr8.raft.replica import Applied, Outcome, Replica
from orchestr8.store.command import Key, Put, Txn, encode_batch
from orchestr8.store.state import State

NAMES = ("a", "b", "c", "d", "e")


class Violation(AssertionError):
    """An invariant of Raft was broken."""


@dataclass(frozen=True)
class Faults:
    """What one history is made of; seconds of virtual time."""

    size: int = 3
    faulty_seconds: float = 20.0
    healing_seconds: float = 12.0
    delay_seconds: tuple[float, float] = (0.0005, 0.03)
    fault_every_seconds: tuple[float, float] = (0.15, 0.8)
    propose_every_seconds: tuple[float, float] = (0.005, 0.04)
    sync_seconds: tuple[float, float] = (0.0005, 0.01)
    cut_seconds: tuple[float, float] = (0.1, 3.0)
    append_batch_bytes: int = 300
    duplicates: float = 0.02  # share of messages that come again, up to 0.3 s late: more than the transport would do
    weights: tuple[tuple[str, int], ...] = (
        ("crash", 5),
        ("crash all", 2),
        ("partition", 4),
        ("one way", 4),
        ("isolate", 4),
        ("reset", 5),
        ("slow disk", 2),
        ("snapshot", 3),
        ("transfer", 2),
    )


@dataclass
class Link:
    """One direction between two masters: in order, held while cut, emptied by a reset."""

    up: bool = False
    cut: bool = False
    session: int = 0
    arrival: float = 0.0
    held: list[Message] = field(default_factory=list)


class Node:
    def __init__(self, name: str) -> None:
        self.name = name
        self.replica: Replica | None = None
        self.files: dict[str, bytes] = {}
        self.snapshot: tuple[snapshot.Head, bytes] | None = None
        self.writing: Block | None = None
        self.wake_at = float("inf")
        self.life = 0
        self.slow_until = 0.0


class Simulation:
    replica_class: type[Replica] = Replica
    guard_class: type[Guard] = Guard

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        self.random = Random(seed)
        self.seed = seed
        if faults is None:
            faults = Faults(size=5 if seed % 8 == 7 else 3)
        self.faults = faults
        self.now = 0.0
        self.trace = 0
        self.nodes = {name: Node(name) for name in NAMES[: faults.size]}
        self.links = {(a, b): Link() for a in self.nodes for b in self.nodes if a != b}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        # what the invariants remember
        self.leader_of_term: dict[int, str] = {}
        self.applied: dict[int, tuple[int, int]] = {}  # index -> checksum of the entry, term of who first applied it
        self.digests: dict[int, str] = {}
        self.acknowledged: dict[str, int] = {}
        self.proposed = 0
        self.reads = 0
        self.acknowledged_index = 0
        self.happened: Counter[str] = Counter()

    # -- running -----------------------------------------------------------------------------------------------
    def run(self) -> Simulation:
        for node in self.nodes.values():
            self._start(node)
        self._at(self._pick(self.faults.fault_every_seconds), self._fault)
        self._at(0.0, self._propose)
        self._run_until(self.faults.faulty_seconds)
        self._heal()
        self._run_until(self.faults.faulty_seconds + self.faults.healing_seconds)
        self._check_converged()
        return self

    def _run_until(self, end: float) -> None:
        events = self._events
        while events and events[0][0] <= end:
            self.now, _, action = heapq.heappop(events)
            action()
        self.now = end

    def _at(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), action))

    def _pick(self, bounds: tuple[float, float]) -> float:
        return self.random.uniform(*bounds)

    # -- nodes -------------------------------------------------------------------------------------------------
    def _start(self, node: Node) -> None:
        found = journals.recover(sorted(node.files.items()))
        if found.torn is not None:
            name, size = found.torn
            node.files[name] = node.files[name][:size]
        journal, state, applied = found.journal, State(), 1
        if node.snapshot is not None:
            head, chunks = snapshot.decode(node.snapshot[0].name, node.snapshot[1])
            state, applied = State.load(chunks), head.index
        align(journal, node.snapshot[0] if node.snapshot is not None else None)
        if journal.segment == 0:
            self._next_segment(node, journal)
        node.replica = replica = self.replica_class(
            node.name,
            list(self.nodes),
            journal,
            state,
            applied,
            self.random.uniform,
            self.now,
            append_batch_bytes=self.faults.append_batch_bytes,
        )
        replica.guard = self.guard_class(replica.core, journal)
        node.life += 1
        node.writing = None
        node.wake_at = float("inf")
        self._watch_applied(node, replica)
        for peer in self.nodes:
            if peer != node.name:
                for way in ((node.name, peer), (peer, node.name)):
                    self._at(self._pick((0.01, 0.1)), lambda way=way: self._connect(way))  # type: ignore[misc]
        self._step(node)

    def _watch_applied(self, node: Node, replica: Replica) -> None:
        apply = replica.core._apply_entry

        def checked(index: int, command: bytes) -> object:
            checksum = zlib.crc32(command)
            if self.applied.setdefault(index, (checksum, replica.term))[0] != checksum:
                raise Violation(f"{node.name} applied another entry at {index}")
            result = apply(index, command)
            if index % 16 == 0:
                digest = replica.state.digest()
                if self.digests.setdefault(index, digest) != digest:
                    raise Violation(f"{node.name} has another state at {index}")
            return result

        replica.core._apply_entry = checked

    def _crash(self, node: Node) -> None:
        """A power cut: the block that was being written may be there, in part, or with a hole."""
        if node.replica is None:
            return
        block, node.writing = node.writing, None
        if block is not None:
            kept = block.data[: self.random.randint(0, len(block.data))]
            if kept and self.random.random() < 0.3:
                hole = self.random.randrange(len(kept))
                kept = kept[:hole] + b"\0" * (len(kept) - hole)
            node.files[block.segment] = node.files[block.segment][: block.offset] + kept
        node.replica = None
        node.life += 1
        for way in self.links:
            if node.name in way:
                self._disconnect(way)

    def _next_segment(self, node: Node, journal: Journal) -> None:
        name, data = journal.next_segment()
        node.files[name] = data
        journal.segment_begun(len(data))

    def _step(self, node: Node) -> None:
        """What the driver does after input."""
        replica = node.replica
        if replica is None:
            return
        replica.tick(self.now)
        if replica.leads:
            self._check_leader(node, replica)
        for peer, message in replica.take_messages():
            self._send(node.name, peer, message)
        for peer in replica.take_snapshot_wanted():
            self._transfer_snapshot(node, replica, peer)
        if replica.journal.dirty and node.writing is None:
            if replica.journal.offset > 3_000:
                self._next_segment(node, replica.journal)
            node.writing = replica.journal.take_block()
            seconds = max(self._pick(self.faults.sync_seconds), node.slow_until - self.now)
            self._at(seconds, lambda life=node.life: self._written(node, life))  # type: ignore[misc]
        wake = replica.next_wake()
        if wake < node.wake_at:
            node.wake_at = wake
            self._at(max(0.0, wake - self.now), lambda: self._wake(node, wake))

    def _wake(self, node: Node, wake: float) -> None:
        if node.wake_at == wake:
            node.wake_at = float("inf")
            self._step(node)

    def _written(self, node: Node, life: int) -> None:
        if node.life != life or node.replica is None or node.writing is None:
            return
        block, node.writing = node.writing, None
        node.files[block.segment] = node.files[block.segment][: block.offset] + block.data
        node.replica.journal.block_safe()
        node.replica.flushed(self.now)
        self._step(node)

    # -- the wire ----------------------------------------------------------------------------------------------
    def _connect(self, way: tuple[str, str]) -> None:
        link = self.links[way]
        sender, receiver = self.nodes[way[0]], self.nodes[way[1]]
        if link.up or sender.replica is None or receiver.replica is None:
            return
        if link.cut or self.links[way[::-1]].cut:
            self._at(0.3, lambda: self._connect(way))
            return
        link.up = True
        link.session += 1
        sender.replica.connect(way[1], self.now)
        self._step(sender)

    def _disconnect(self, way: tuple[str, str]) -> None:
        link = self.links[way]
        if not link.up:
            return
        link.up = False
        link.held.clear()
        sender = self.nodes[way[0]]
        if sender.replica is not None:
            sender.replica.disconnect(way[1], self.now)
            self._step(sender)
            self._at(self._pick((0.05, 0.4)), lambda: self._connect(way))

    def _send(self, sender: str, receiver: str, message: Message) -> None:
        link = self.links[sender, receiver]
        if not link.up:
            return
        if link.cut:
            link.held.append(message)
        else:
            link.arrival = max(link.arrival, self.now + self._pick(self.faults.delay_seconds))
            session = link.session
            self._at(link.arrival - self.now, lambda: self._arrive(sender, receiver, message, session))
            if self.random.random() < self.faults.duplicates and self.now < self.faults.faulty_seconds:
                late = link.arrival - self.now + self._pick((0.0, 0.3))
                self._at(late, lambda: self._arrive(sender, receiver, message, session))

    def _arrive(self, sender: str, receiver: str, message: Message, session: int) -> None:
        link, node = self.links[sender, receiver], self.nodes[receiver]
        if not link.up or link.session != session or node.replica is None:
            return
        if link.cut:
            link.held.append(message)
            return
        self.trace = zlib.crc32(
            f"{self.now:.6f} {sender} {receiver} {message['type']} {message['term']}".encode(), self.trace
        )
        node.replica.receive(sender, message, self.now)
        self._step(node)

    def _mend(self, way: tuple[str, str]) -> None:
        link = self.links[way]
        link.cut = False
        held, link.held = link.held, []
        for message in held:
            self._send(*way, message)

    def _transfer_snapshot(self, node: Node, replica: Replica, peer: str) -> None:
        life, session, sent = node.life, self.links[node.name, peer].session, node.snapshot
        term = replica.term

        def arrive() -> None:
            target, link = self.nodes[peer], self.links[node.name, peer]
            index = None
            if target.replica is not None and link.up and link.session == session and not link.cut and sent is not None:
                follower = target.replica
                if term >= follower.term and follower.leader == node.name and sent[0].index > follower.applied_index:
                    head, chunks = snapshot.decode(sent[0].name, sent[1])
                    target.snapshot = sent  # safe first
                    self.happened["install"] += 1
                    if follower.install(State.load(chunks), head.index, head.term, self.now):
                        index = head.index
                    self._step(target)
            if node.life == life and node.replica is not None:
                node.replica.snapshot_ended(peer, index, self.now)
                self._step(node)

        self._at(self._pick((0.02, 0.3)), arrive)

    # -- load and faults ---------------------------------------------------------------------------------------
    def _propose(self) -> None:
        if self.now < self.faults.faulty_seconds + self.faults.healing_seconds / 2:
            self._at(self._pick(self.faults.propose_every_seconds), self._propose)
        for node in self.nodes.values():  # a deposed leader that does not know it yet is asked, too
            replica = node.replica
            if replica is not None and replica.may_propose and self.random.random() < 0.7:
                self._submit(node, replica)
            if replica is not None and replica.leads and self.random.random() < 0.3:
                floor = self.acknowledged_index

                def read(index: int | None, floor: int = floor) -> None:
                    if index is not None:
                        self.reads += 1
                        if index < floor:
                            raise Violation(f"a read at {index} misses a write acknowledged at {floor} before it")

                replica.read(read)
                self._step(node)

    def _submit(self, node: Node, replica: Replica) -> None:
        self.proposed += 1
        name = f"r{self.proposed}"
        body = b'{"metadata":{"name":"%s","namespace":"n"},"data":{"x":"%s"}}' % (
            name.encode(),
            b"x" * self.random.randint(0, 80),
        )
        entry = encode_batch([Txn(name, (), (Put(Key("ConfigMap", "n", name), body),))])

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, Applied):
                self.acknowledged[name] = outcome.index
                self.acknowledged_index = max(self.acknowledged_index, outcome.index)

        replica.propose(entry, done)
        self._step(node)

    def _fault(self) -> None:
        if self.now < self.faults.faulty_seconds:
            self._at(self._pick(self.faults.fault_every_seconds), self._fault)
        random = self.random
        node = random.choice(list(self.nodes.values()))
        leaders = [each for each in self.nodes.values() if each.replica is not None and each.replica.leads]
        if leaders and random.random() < 0.5:
            node = random.choice(leaders)
        sorts, weights = zip(*self.faults.weights, strict=True)
        sort = random.choices(sorts, weights)[0]
        self.happened[sort] += 1
        match sort:
            case "crash":
                self._crash_and_restart(node)
            case "crash all":
                for each in self.nodes.values():
                    self._crash_and_restart(each)
            case "partition":
                way = random.choice(list(self.links))
                self._cut([way, way[::-1]])
            case "one way":
                self._cut([random.choice(list(self.links))])
            case "isolate":
                self._cut([way for way in self.links if node.name in way])
            case "reset":
                self._disconnect(random.choice(list(self.links)))
            case "slow disk":
                node.slow_until = self.now + random.uniform(0.1, 1.0)
            case "snapshot":
                self._take_snapshot(node)
            case "transfer":
                if node.replica is not None:
                    node.replica.transfer()
                    self._step(node)

    def _crash_and_restart(self, node: Node) -> None:
        self._crash(node)
        life = node.life
        self._at(
            self._pick((0.05, 1.5)), lambda: self._start(node) if node.replica is None and node.life == life else None
        )

    def _cut(self, ways: list[tuple[str, str]]) -> None:
        for way in ways:
            self.links[way].cut = True
        seconds, resets = self._pick(self.faults.cut_seconds), self.random.random() < 0.5

        def mend() -> None:
            for way in ways:
                if resets:
                    self._disconnect(way)
                self._mend(way)

        self._at(seconds, mend)

    def _take_snapshot(self, node: Node) -> None:
        """Also what a follower keeps is cut short, so that some need the leader's snapshot."""
        replica = node.replica
        if replica is None or (node.snapshot is not None and node.snapshot[0].index >= replica.applied_index):
            return
        term = replica.journal.term_at(replica.applied_index)
        assert term is not None
        head = snapshot.Head(replica.applied_index, term, tuple(self.nodes))
        node.snapshot = (head, b"".join(snapshot.encode(head, replica.state.dump())))
        replica.journal.forget_before(replica.journal.keep_from(head.index, self.random.choice([0, 3, 20]), 10**9))
        for name in replica.journal.take_obsolete():
            del node.files[name]

    def _heal(self) -> None:
        for way, link in self.links.items():
            link.cut = False
            self._disconnect(way)
        for node in self.nodes.values():
            node.slow_until = 0.0
            if node.replica is None:
                self._start(node)

    # -- invariants --------------------------------------------------------------------------------------------
    def _check_leader(self, node: Node, replica: Replica) -> None:
        fresh = replica.term not in self.leader_of_term
        if self.leader_of_term.setdefault(replica.term, node.name) != node.name:
            raise Violation(f"two leaders in term {replica.term}: {self.leader_of_term[replica.term]}, {node.name}")
        if fresh:
            journal = replica.journal
            for index, (checksum, term) in self.applied.items():
                if (
                    index <= journal.base_index or term > replica.term
                ):  # a late leader of an old term may lack newer ones
                    continue
                if index > journal.last_index or zlib.crc32(journal[index - journal.base_index][0]) != checksum:
                    raise Violation(f"{node.name} leads term {replica.term} without the committed entry {index}")
            self._check_logs_match()

    def _check_logs_match(self) -> None:
        alive = [node.replica.journal for node in self.nodes.values() if node.replica is not None]
        for one, other in itertools.combinations(alive, 2):
            low = max(one.base_index, other.base_index)
            high = min(one.last_index, other.last_index)
            while high > low and one.term_at(high) != other.term_at(high):
                high -= 1
            for index in range(low + 1, high + 1):
                if one[index - one.base_index] != other[index - other.base_index]:
                    raise Violation(f"logs agree at {high} but differ at {index}")

    def _check_converged(self) -> None:
        replicas = [node.replica for node in self.nodes.values() if node.replica is not None]
        leaders = [replica for replica in replicas if replica.leads]
        if len(leaders) != 1:
            raise Violation(f"{len(leaders)} leaders after {self.faults.healing_seconds} s without faults")
        places = {replica.me: replica.applied_index for replica in replicas}
        if len(set(places.values())) != 1 or leaders[0].journal.last_index != leaders[0].applied_index:
            raise Violation(
                f"not converged: applied {places}, the leader's log ends at {leaders[0].journal.last_index}"
            )
        if len({replica.state.digest() for replica in replicas}) != 1:
            raise Violation("states differ at the end")
        view = leaders[0].state.view()
        lost = [name for name in self.acknowledged if view.stored("ConfigMap", "n", name) is None]
        if lost:
            raise Violation(f"acknowledged and lost: {lost[:10]}")
        if self.acknowledged_index <= max((i for i in self.digests), default=0) - 10_000 or not self.acknowledged:
            raise Violation("nothing was acknowledged: this history tested nothing")
        self._check_logs_match()


def run(seed: int, simulation: type[Simulation] = Simulation, faults: Faults | None = None) -> Simulation:
    """Raises Violation, CorruptState or whatever the code under test raised."""
    return simulation(seed, faults).run()


__all__ = ["CorruptState", "Faults", "Simulation", "Violation", "run"]
