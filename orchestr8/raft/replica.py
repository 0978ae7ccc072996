"""One master's share of Raft without I/O: messages, ticks and finished writes in; messages, blocks and answers out.

pysyncobj decides (pinned.py); around it stand the guard (G1-G5), pre-vote and stickiness, and the hold-back: a vote,
a request for votes and an acknowledgement leave only when the journal is durable up to what they rest on, and a leader
looks at acknowledgements only for entries that are durable here, because the core counts the leader itself for every
entry. Time is an argument. The driver owns the loop, the disk and the wire: it calls ``tick`` after every batch of
inputs, then takes what is to be sent and written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestr8 import limits
from orchestr8.raft import pinned
from orchestr8.raft.barrier import Reader, ReadProbes
from orchestr8.raft.election import Election
from orchestr8.raft.guard import Guard
from orchestr8.raft.journal import Journal
from orchestr8.raft.messages import Message
from orchestr8.store.command import Result
from orchestr8.store.state import State

HELD_BACK = frozenset({"next_node_idx", "request_vote", "response_vote"})
_EPSILON_SECONDS = 0.001  # the core asks "later than", so a wake exactly on time would find nothing to do


@dataclass(frozen=True, slots=True)
class Applied:
    """The entry is committed at ``index`` and applied here; one result for each of its commands."""

    index: int
    results: list[Result]


@dataclass(frozen=True, slots=True)
class NotApplied:
    """The entry is in no log and never will be, or was overruled before it was committed."""


@dataclass(frozen=True, slots=True)
class Lost:
    """This master stopped leading before the entry was committed: it may be committed by the next leader, or not."""


Outcome = Applied | NotApplied | Lost
Done = Callable[[Outcome], None]


class Replica:
    def __init__(
        self,
        me: str,
        members: Sequence[str],
        journal: Journal,
        state: State,
        applied_index: int,
        uniform: Callable[[float, float], float],
        now: float,
        append_batch_bytes: int = limits.APPEND_BATCH_BYTES,
    ) -> None:
        """``state`` is what the log up to ``applied_index`` made; ``members`` names all masters, ``me`` included."""
        pinned.set_now(now)
        self.me = me
        self.peers = tuple(sorted(set(members) - {me}))
        self.journal = journal
        self.state = state
        self.connected: set[str] = set()
        self.disk_full = False
        self.core = pinned.Core(
            me,
            self.peers,
            journal,
            self._apply,
            self._send,
            uniform,
            applied_index=applied_index,
            append_batch_bytes=append_batch_bytes,
        )
        self.guard = Guard(self.core, journal)
        self.election = Election(self.peers, self.core, uniform)
        self.probes = ReadProbes(self.peers)
        self._transferring: set[str] = set()  # peers that are being sent a snapshot
        self._out: list[tuple[str, Message]] = []
        self._held: list[tuple[int, str, Message]] = []  # journal position it rests on, peer, message
        self._held_acks: list[tuple[str, Message]] = []
        self._in_flight: dict[int, Done] = {}
        self._submitted = 0
        self._led_term: int | None = None
        self._transfer_campaign = False
        if not self.peers:
            self.core.election_deadline = 0.0  # nobody else could lead

    # -- reading -----------------------------------------------------------------------------------------------
    @property
    def leader(self) -> str | None:
        if self.core.leads():
            return self.me
        return None if self.election.looking else self.core.leader_name()  # the core keeps a dead one's name

    @property
    def leads(self) -> bool:
        return self.core.leads()

    @property
    def term(self) -> int:
        return self.core.term()

    @property
    def applied_index(self) -> int:
        return self.core.applied_index

    @property
    def serves(self) -> bool:
        """Leads, and has applied the entry that opened its term: everything acknowledged before is in the state."""
        opened = self.core.no_op_index()
        return self.core.leads() and opened is not None and self.core.applied_index >= opened

    @property
    def is_idle(self) -> bool:
        """Leads, and everybody may know that all it has is committed."""
        return self.core.leads() and not self._in_flight and self.core.commit_index == self.journal.last_index

    def changes_nothing(self, message: Message) -> bool:
        """An answer to a heartbeat that tells an idle leader what it knows: it need not be looked at in a hurry."""
        confirms = message["type"] == "next_node_idx" and message["success"] and message["term"] == self.term
        return bool(confirms and self.is_idle and message["next_node_idx"] == self.journal.last_index + 1)

    @property
    def may_propose(self) -> bool:
        return self.core.leads() and len(self._in_flight) < limits.COMMANDS_IN_TICK

    def next_wake(self) -> float:
        """The time by which ``tick`` must be called although nothing came in."""
        if not self.peers:
            return float("inf") if self.core.leads() else self.core.election_deadline
        if self.core.leads():
            return min(self.core.next_append(), self.probes.next_wake()) + _EPSILON_SECONDS
        return self.core.election_deadline + _EPSILON_SECONDS

    # -- inputs ------------------------------------------------------------------------------------------------
    def connect(self, peer: str, now: float) -> None:
        pinned.set_now(now)
        self.connected.add(peer)
        self.core.connected(peer)

    def disconnect(self, peer: str, now: float) -> None:
        """Nothing that waited for ``peer`` survives: after a reconnect everything starts from what both hold."""
        pinned.set_now(now)
        self.connected.discard(peer)
        self._transferring.discard(peer)
        self._held = [held for held in self._held if held[1] != peer]
        self._held_acks = [held for held in self._held_acks if held[0] != peer]
        if peer == self.core.leader_name():
            self.election.leader_unreachable(now)
        self.core.disconnected(peer)

    def receive(self, peer: str, message: Message, now: float) -> None:
        """``message`` went through messages.parse; ``peer`` is a member."""
        pinned.set_now(now)
        match message["type"]:
            case "pre_vote":
                self._out.append((peer, self.election.answer(message, now)))
            case "pre_vote_answer":
                self._learn_term(peer, message["term"])
                self.election.answered(peer, message)
            case "higher_term":
                self._learn_term(peer, message["term"])
            case "read_probe":
                if message["term"] == self.term and not self.core.leads():
                    self._out.append((peer, {**message, "type": "read_probe_answer"}))
            case "read_probe_answer":
                if message["term"] == self.term and self.core.leads():
                    self.probes.answered(peer, message)
            case "next_node_idx" if self._rests_on_unsafe_entry(message):
                self._held_acks.append((peer, message))
            case "request_vote" if self.election.refuses(message, now):
                pass
            case _:
                self._deliver(peer, message, now)
        self._notice_role()

    def flushed(self, now: float) -> None:
        """The journal has become durable further than before."""
        pinned.set_now(now)
        safe = self.journal.durable_position
        self._out += [(peer, message) for position, peer, message in self._held if position <= safe]
        self._held = [held for held in self._held if held[0] > safe]
        acks, self._held_acks = self._held_acks, []
        for peer, message in acks:
            self.receive(peer, message, now)

    def propose(self, entry: bytes, done: Done) -> None:
        """``entry``: a batch for the state machine. ``done`` is called once, from a later step; it must not raise."""
        if not self.core.leads():
            done(NotApplied())
            return
        self._submitted += 1
        number = self._submitted
        self._in_flight[number] = done

        def settled(results: object, reason: int) -> None:
            waiting = self._in_flight.pop(number, None)
            if waiting is not None:
                applied = isinstance(results, list) and reason == 0
                waiting(Applied(self.core.applied_index + 1, results) if applied else NotApplied())  # type: ignore[arg-type]

        self.core.submit(entry, settled)

    def read(self, reader: Reader) -> None:
        """``reader`` is called once, with the index to apply up to, or None if this master does not lead."""
        if not self.core.leads():
            reader(None)
        else:
            self.probes.wait(reader)

    def tick(self, now: float) -> None:
        pinned.set_now(now)
        if not self.peers and self.journal.dirty:
            return  # the core would count its own undurable entries as a majority of one
        self._transfer_campaign = self.core.transfer_in_progress
        if self.peers and not self.core.leads() and 0.0 < self.core.election_deadline < now:
            questions = self.election.ask(now)
            if not self.disk_full:  # a master that cannot write cannot lead
                self._out += questions
        self.core.doTick(0.0)
        self._transfer_campaign = False
        if self.peers and self.core.election_deadline == 0.0 and not self.core.leads():
            # Nobody is connected, so the core did not campaign; a hand-over that old is void.
            self.core.transfer_in_progress = False
            self.core.election_deadline = now + limits.APPEND_PERIOD_SECONDS
        self._notice_role()
        if self.is_idle and self.core.next_append() == now + limits.APPEND_PERIOD_SECONDS:
            self.core.postpone_append(now + limits.APPEND_PERIOD_IDLE_SECONDS)
        if self.serves:
            self._out += self.probes.ask(self.term, self.core.commit_index, now)

    def transfer(self) -> str | None:
        """Asks the peer with the newest log to campaign at once; None: nobody holds the whole log."""
        for peer in sorted(sorted(self.connected), key=self.core.match_index, reverse=True):
            if self.core.leads() and self.core.transfer_to(peer):
                return peer
        return None

    # -- snapshots ---------------------------------------------------------------------------------------------
    def take_snapshot_wanted(self) -> list[str]:
        """Peers that need what the log no longer holds. Until ``snapshot_ended`` they get bare heartbeats only."""
        wanted = sorted(self.core.snapshot_wanted - self._transferring)
        self.core.snapshot_wanted.clear()
        self._transferring |= set(wanted)
        return wanted

    def snapshot_progress(self, peer: str, now: float) -> None:
        """``peer`` took a chunk: it follows this leader as surely as one that acknowledges entries."""
        pinned.set_now(now)
        if self.core.leads():
            end = self.core.match_index(peer) + 1
            answer = {"type": "next_node_idx", "next_node_idx": end, "reset": False, "success": False}
            self.core.receive(peer, answer)

    def snapshot_ended(self, peer: str, index: int | None, now: float) -> None:
        """``index``: what the peer now stands at; None: it did not work, and it will ask again."""
        pinned.set_now(now)
        self._transferring.discard(peer)
        if index is not None and self.core.leads():
            answer = {"type": "next_node_idx", "next_node_idx": index + 1, "reset": True, "success": False}
            self.core.receive(peer, answer)

    def install(self, state: State, index: int, term: int, now: float) -> bool:
        """Put a leader's snapshot, which is safe on this disk, in the place of the state. False: it is not newer."""
        pinned.set_now(now)
        if index <= self.core.applied_index or self.core.leads():
            return False
        self.state = state
        self.journal.restart_at(index, term)
        self.core.applied_index = index
        self.core.commit_index = max(index, min(self.core.commit_index, self.journal.last_index))
        return True

    # -- output ------------------------------------------------------------------------------------------------
    def take_messages(self) -> list[tuple[str, Message]]:
        out, self._out = self._out, []
        return out

    # -- within ------------------------------------------------------------------------------------------------
    def _deliver(self, peer: str, message: Message, now: float) -> None:
        if message["type"] == "append_entries":
            if message["term"] < self.term:
                self._out.append((peer, {"type": "higher_term", "term": self.term}))
                return
            self.election.leader_spoke(now)
        passed = self.guard.incoming(peer, message)
        if passed is not None:
            try:
                self.core.receive(peer, passed)
            finally:
                self.guard.delivered()
        if message["type"] == "append_entries" and peer not in self.connected:
            self.election.leader_unreachable(now)

    def _send(self, peer: str, message: Message) -> None:
        """Where the core's messages come out."""
        kind = message["type"]
        if kind == "append_entries" and (peer in self._transferring or "prevLogIdx" not in message):
            self._out.append((peer, {"type": kind, "term": message["term"], "commit_index": 0}))
            return
        if kind == "request_vote":
            message = {**message, "transfer": self._transfer_campaign}
        passed = self.guard.outgoing(peer, message)
        if passed is None:
            return
        if self.must_wait(kind):
            self._held.append((self.journal.position, peer, passed))
        else:
            self._out.append((peer, passed))

    def must_wait(self, kind: str) -> bool:
        """Hold-back: what promises something about the journal leaves when the journal is safe."""
        return kind in HELD_BACK and self.journal.dirty

    def _rests_on_unsafe_entry(self, message: Message) -> bool:
        return bool(message["success"]) and message["next_node_idx"] - 1 > self.journal.durable_index

    def _learn_term(self, peer: str, term: int) -> None:
        if term > self.term:
            # A request that cannot win: the core takes over the term, steps down if it leads, and votes for nobody.
            hopeless = {"type": "request_vote", "term": term, "last_log_index": 0, "last_log_term": -1}
            self.core.receive(peer, hopeless)

    def _apply(self, index: int, command: bytes) -> object:
        return self.state.apply(command[1:]) if command[:1] == pinned.REGULAR else None

    def _notice_role(self) -> None:
        led = self.term if self.core.leads() else None
        if led == self._led_term:
            return
        if self._led_term is not None:
            in_flight, self._in_flight = self._in_flight, {}
            self.core.forget_callbacks()
            self._held_acks = []
            self._transferring.clear()
            self.probes.lost()
            for done in in_flight.values():
                done(Lost())
        self._led_term = led
