"""pysyncobj 0.3.17 as shipped loses or invents data in ways that were reproduced; each row is held against our use.

The row numbers are those of the defects page behind docs/design (A: loses data, B: stuck, C: weakness). Where a row can
be shown by hand with its guard taken away, the test also shows that it then goes wrong.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from orchestr8 import limits
from orchestr8.errors import CorruptState, RemoteProtocolError
from orchestr8.raft import journal as journals
from orchestr8.raft import messages, pinned
from orchestr8.raft.guard import Guard
from orchestr8.raft.journal import Journal
from orchestr8.raft.messages import Message
from orchestr8.raft.replica import Applied, Lost, NotApplied, Outcome, Replica
from orchestr8.store.state import State
from tests.unit.raft.hand import Hand, entry, fresh_journal


def heartbeat(term: int, prev: int, prev_term: int, commit: int = 1) -> Message:
    return {
        "type": "append_entries",
        "term": term,
        "commit_index": commit,
        "prevLogIdx": prev,
        "prevLogTerm": prev_term,
        "entries": [],
    }


def led_by_a(names: str = "abc", writes: int = 3, **options: object) -> Hand:
    hand = Hand(names, **options)  # type: ignore[arg-type]
    hand.elect("a")
    for number in range(writes):
        hand.propose("a", f"w{number}")
        hand.settle()
    return hand


# -- row 1 -------------------------------------------------------------------------------------------------------
def test_row_1_a_late_heartbeat_cuts_nothing() -> None:
    hand = led_by_a(writes=5)
    b = hand["b"]
    end = b.journal.last_index
    b.receive("a", heartbeat(b.term, 2, b.term), hand.now)
    assert b.journal.last_index == end
    hand.flush("b")
    answer = hand.wire["b", "a"][-1]
    assert (answer["success"], answer["next_node_idx"]) == (True, 3), "it vouches for what the message proved, no more"


def test_row_1_without_the_guard_it_cuts_what_was_acknowledged() -> None:
    class Without(Guard):
        def skip_known_entries(self, message: Message) -> Message:
            return message

    hand = led_by_a(writes=5, guard=Without)
    b = hand["b"]
    end = b.journal.last_index
    b.receive("a", heartbeat(b.term, 2, b.term), hand.now)
    assert b.journal.last_index < end


def test_row_1_entries_sent_again_are_taken_once_and_the_rest_appended() -> None:
    hand = led_by_a(writes=2)
    b = hand["b"]
    term, end = b.term, b.journal.last_index
    again = [b.journal[place] for place in range(1, len(b.journal))]
    more = (b"\0" + entry("new"), end + 1, term)
    b.receive("a", {**heartbeat(term, 1, 0), "entries": [*again, more]}, hand.now)
    assert b.journal[1:] == [*again, more]


# -- row 2 -------------------------------------------------------------------------------------------------------
class _OldAcknowledgements(Guard):
    def is_of_this_term(self, message: Message) -> bool:
        return self._seat.leads()


def _old_acknowledgement(guard: type[Guard]) -> tuple[Hand, list[Outcome]]:
    """b acknowledged an entry of term 1 that was overruled; the acknowledgement reaches a when it leads term 3."""
    hand = Hand("abcde", guard=guard)
    hand.elect("a")
    hand.settle()
    hand.propose("a", "overruled")
    hand.lose("ac", "ad", "ae")
    hand.deliver("a", "b")
    hand.flush("b")  # the acknowledgement is on the wire from b to a, and stays there
    late = [message for message in hand.wire["b", "a"] if message["next_node_idx"] == hand["b"].journal.last_index + 1]
    assert late, "b acknowledged"
    hand.wire["b", "a"].clear()
    hand.elect("c", "cde")
    hand.propose("c", "overrules")
    hand.lose("ab", "cb")
    hand.settle("acde")
    assert not hand.holds("a", "overruled")
    hand.lose(*(f"{x}{y}" for x, y in hand.wire))
    hand.elect("a", "ade")
    outcomes: list[Outcome] = []
    hand.lose(*(f"{x}{y}" for x, y in hand.wire))
    for message in late:
        hand["a"].receive("b", {**message, "next_node_idx": hand["a"].journal.last_index + 2}, hand.now)
    hand.propose("a", "two of five hold it", outcomes)
    hand.lose("ab", "ac", "ae")
    for message in late:
        hand["a"].receive("b", {**message, "next_node_idx": hand["a"].journal.last_index + 1}, hand.now)
    hand.settle("ad")
    return hand, outcomes


def test_row_2_an_acknowledgement_of_an_old_term_counts_for_nothing() -> None:
    hand, outcomes = _old_acknowledgement(Guard)
    assert outcomes == []
    assert not hand.applied("a", "two of five hold it")


def test_row_2_without_the_guard_a_write_on_two_of_five_is_acknowledged() -> None:
    hand, outcomes = _old_acknowledgement(_OldAcknowledgements)
    assert [type(outcome) for outcome in outcomes] == [Applied]
    assert [name for name in "abcde" if hand.holds(name, "two of five hold it")] == ["a", "d"]


# -- row 3 -------------------------------------------------------------------------------------------------------
def test_row_3_a_message_that_proves_nothing_about_the_log_commits_nothing() -> None:
    hand = led_by_a(writes=1)
    hand.propose("a", "unconfirmed")  # in the log of a only
    hand.lose("ab", "ac")
    a = hand["a"]
    commit = a.core.commit_index
    a.receive("b", {"type": "append_entries", "term": a.term + 1, "commit_index": 99}, hand.now)
    a.tick(hand.now)
    assert a.core.commit_index == commit
    assert not hand.applied("a", "unconfirmed")


def test_row_3_without_the_guard_a_deposed_leader_applies_a_lost_write() -> None:
    class Without(Guard):
        def commit_without_proof(self, message: Message) -> Message:
            return message

    hand = led_by_a(writes=1, guard=Without)
    hand.propose("a", "unconfirmed")
    a = hand["a"]
    a.receive("b", {"type": "append_entries", "term": a.term + 1, "commit_index": 99}, hand.now)
    a.tick(hand.now)
    assert hand.applied("a", "unconfirmed")


# -- rows 4 to 9: test_journal.py and test_recovery.py have the files ----------------------------------------------
def test_row_4_a_snapshot_newer_than_the_journal_keeps_what_follows_it() -> None:
    journal = fresh_journal()
    for index in range(2, 103):
        journal.add(b"\0x", index, 1)
    journal.restart_at(50, 1)
    assert journal.last_index == 102


def test_row_5_nothing_that_rests_on_the_journal_leaves_before_it_is_safe() -> None:
    hand = led_by_a(writes=0)
    hand.settle()
    hand.propose("a", "w")
    hand.deliver("a", "b")
    assert not [m for m in hand.wire["b", "a"] if m["type"] == "next_node_idx"], "b has not written it yet"
    hand.flush("b")
    assert [m["type"] for m in hand.wire["b", "a"]] == ["next_node_idx"]
    hand.deliver("b", "a")
    hand.tick("a")
    assert not hand.applied("a", "w"), "a majority has it only when a has written it, too"
    hand.flush("a")
    hand.tick("a")
    assert hand.applied("a", "w")


def test_row_5_votes_and_requests_for_votes_wait_for_the_journal() -> None:
    hand = Hand("abc")
    hand["a"].core.election_deadline = 0.0
    hand.tick("a")
    assert hand.wire["a", "b"] == []
    hand.flush("a")
    hand.deliver("a", "b")
    assert hand.wire["b", "a"] == []
    hand.flush("b")
    assert [m["type"] for m in hand.wire["b", "a"]] == ["response_vote"]


def test_row_7_term_and_vote_come_back_after_a_restart() -> None:
    journal = Journal()
    name, head = journal.next_segment()
    journal.segment_begun(len(head))
    journal.setCurrentTerm(7, "b")
    block = journal.take_block()
    found = journals.recover([(name, head + block.data)]).journal
    assert (found.term, found.vote) == (7, "b")
    replica = Replica("a", "abc", found, State(), 1, lambda low, high: low, 0.0)
    replica.connect("c", 0.0)
    request = {"type": "request_vote", "term": 7, "last_log_index": 9, "last_log_term": 7, "transfer": False}
    replica.receive("c", request, 5.0)
    replica.journal.take_block() if replica.journal.dirty else None
    assert replica.take_messages() == [] and replica.journal.vote == "b", "one vote a term"


# -- row 11 --------------------------------------------------------------------------------------------------------
class _VotesCountTwice(Guard):
    def is_new_vote(self, peer: str, message: Message) -> bool:
        return True


def _same_vote_twice(guard: type[Guard]) -> Replica:
    hand = Hand("abcde", guard=guard)
    hand["a"].core.election_deadline = 0.0
    hand.tick("a")
    hand.flush("a")
    vote = {"type": "response_vote", "term": hand["a"].term}
    for _ in range(2):
        hand["a"].receive("b", dict(vote), hand.now)
    return hand["a"]


def test_row_11_one_voter_is_one_vote() -> None:
    assert not _same_vote_twice(Guard).leads


def test_row_11_without_the_guard_two_of_five_elect_a_leader() -> None:
    assert _same_vote_twice(_VotesCountTwice).leads


# -- rows 12, 13, 14, 15 -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("command", [b"\0", b"\0garbage", b"\2junk", b"\3junk", b"\xff"])
def test_rows_12_13_an_entry_nobody_understands_is_passed_over_once_and_the_next_is_applied(command: bytes) -> None:
    hand = led_by_a(writes=1)
    a = hand["a"]
    a.core._applyCommand(command, None)
    hand.settle()
    place = a.applied_index
    hand.propose("a", "after")
    hand.settle()
    for name in "abc":
        assert hand[name].applied_index == place + 1
        assert hand.applied(name, "after")
    assert len({hand[name].state.digest() for name in "abc"}) == 1


def test_row_14_nothing_pickles() -> None:
    with pytest.raises(RuntimeError, match="never pickles"):
        pinned.pysyncobj.syncobj.pickle.loads(b"")
    with pytest.raises(RuntimeError, match="never pickles"):
        pinned.pysyncobj.tcp_connection.pickle.loads(b"")


@pytest.mark.parametrize("kind", ["apply_command", "apply_command_response", "status", "add", "remove", "set_version"])
def test_rows_14_15_messages_the_library_would_serve_are_no_messages(kind: str) -> None:
    with pytest.raises(RemoteProtocolError):
        messages.parse({"type": kind, "term": 1, "command": b"x"})


def test_row_15_a_chunked_entry_is_refused() -> None:
    chunk = {**heartbeat(1, 1, 0), "transmission": "finish", "data": b"\x80\x04."}
    with pytest.raises(RemoteProtocolError, match="transmission"):
        messages.parse(chunk)


# -- row 16 --------------------------------------------------------------------------------------------------------
def _conflicting_batches(guard: type[Guard]) -> Hand:
    """b has a long tail of an overruled term; several batches of the new leader are on their way to it at once."""
    hand = Hand("abc", guard=guard, append_batch_bytes=300)
    hand.elect("a")
    hand.settle()
    b, term = hand["b"], hand["a"].term
    base = b.journal.last_index
    tail = [(b"\0" + entry(f"tail{n}"), base + 1 + n, term) for n in range(60)]
    b.receive("a", {**heartbeat(term, base, b.journal.term_at(base) or 0), "entries": tail}, hand.now)
    hand.flush("b")
    hand.lose("ba", "ab")
    hand["a"].disconnect("b", hand.now)
    hand.elect("c", "ac")
    for number in range(40):
        hand.propose("c", f"new{number}")
        hand.settle("ac", rounds=3)
    return hand


def test_row_16_a_follower_with_conflicts_catches_up_while_batches_are_in_flight() -> None:
    hand = _conflicting_batches(Guard)
    for _ in range(30):
        hand.tick("c", limits.APPEND_PERIOD_IDLE_SECONDS + 0.01)
        hand.settle("bc", rounds=2)
    assert hand["b"].journal.last_index == hand["c"].journal.last_index
    assert not hand.holds("b", "tail0")


# -- rows 17, 18, 19 -----------------------------------------------------------------------------------------------
def test_row_17_a_master_that_was_cut_off_comes_back_without_a_new_term() -> None:
    hand = led_by_a()
    term = hand["a"].term
    for _ in range(40):  # c hears nobody and nobody hears c
        hand.tick("c", 0.3)
        hand.tick("a")
        hand.lose("ca", "cb", "ac", "bc")
        hand.settle("ab", rounds=2)
    assert hand["c"].term == term
    hand.settle()
    assert hand["a"].leads and hand["a"].term == term


def test_row_17_nobody_votes_while_a_leader_is_heard_unless_it_handed_over() -> None:
    hand = led_by_a()
    b = hand["b"]
    request = {"type": "request_vote", "term": b.term + 1, "last_log_index": 99, "last_log_term": 99, "transfer": False}
    b.receive("c", request, hand.now + 0.1)
    assert b.term == hand["a"].term
    b.receive("c", {**request, "transfer": True}, hand.now + 0.1)
    assert b.term == hand["a"].term + 1


def test_row_17_a_master_stuck_in_a_higher_term_is_not_left_out() -> None:
    hand = led_by_a()
    hand["c"].receive("b", {"type": "higher_term", "term": hand["a"].term + 3}, hand.now)
    hand.tick("a", limits.APPEND_PERIOD_IDLE_SECONDS + 0.01)
    hand.deliver("a", "c")
    hand.deliver("c", "a")
    assert hand["a"].term == hand["c"].term and not hand["a"].leads
    hand.elect("a")
    hand.settle()
    assert hand["c"].leader == "a"


def test_row_18_a_leader_that_hears_no_majority_steps_down_in_two_seconds() -> None:
    hand = led_by_a()
    outcomes: list[Outcome] = []
    hand.propose("a", "in vain", outcomes)
    began = hand.now
    while hand["a"].leads:
        hand.tick("a", 0.1)
        hand.lose("ab", "ac")
        assert hand.now < began + limits.LEADER_FALLBACK_SECONDS + 0.5
    assert outcomes == [Lost()], "row 19: its callers are answered"
    assert not hand["a"].core._SyncObj__commandsWaitingCommit, "row 19: and forgotten"


def test_row_19_a_proposal_to_a_follower_is_refused_at_once() -> None:
    hand = led_by_a()
    outcomes: list[Outcome] = []
    hand.propose("b", "x", outcomes)
    assert outcomes == [NotApplied()]


# -- rows 20, 24, 27, 28, 29, 30 -----------------------------------------------------------------------------------
def test_row_20_a_follower_that_takes_a_snapshot_counts_as_following() -> None:
    hand = led_by_a()
    a = hand["a"]
    a.journal.forget_before(a.applied_index)
    a.core.next_index[pinned.Member("b")] = 2
    hand.tick("a", limits.APPEND_PERIOD_IDLE_SECONDS + 0.01)
    assert a.take_snapshot_wanted() == ["b"]
    hand.lose("ab", "ac", "ba", "ca")
    for _ in range(30):
        hand.tick("a", 0.2)
        a.snapshot_progress("b", hand.now)
    assert a.leads
    beats = hand.wire["a", "b"]
    assert beats and all(beat == {"type": "append_entries", "term": a.term, "commit_index": 0} for beat in beats)


def test_row_24_the_last_entries_stay_after_a_snapshot() -> None:
    journal = fresh_journal()
    for index in range(2, 30_002):
        journal.add(b"\0x", index, 1)
    kept = journal.keep_from(30_001, limits.LOG_ENTRIES_KEPT_AFTER_SNAPSHOT, limits.LOG_BYTES_KEPT_AFTER_SNAPSHOT)
    assert kept == 30_001 - limits.LOG_ENTRIES_KEPT_AFTER_SNAPSHOT


def test_row_27_an_entry_is_sent_in_the_round_it_comes_in() -> None:
    hand = led_by_a()
    hand.lose("ab")
    hand.propose("a", "w")
    assert [len(m["entries"]) for m in hand.wire["a", "b"] if m.get("entries")] == [1]


def test_row_28_few_entries_are_in_flight_at_once() -> None:
    hand = led_by_a()
    for number in range(limits.COMMANDS_IN_TICK):
        assert hand["a"].may_propose
        hand.propose("a", f"w{number}")
    assert not hand["a"].may_propose


def test_row_29_a_batch_of_the_library_is_larger_than_any_entry_and_is_cut_to_frames() -> None:
    assert limits.LOG_ENTRY_BYTES + 1 < limits.APPEND_BATCH_BYTES
    big = [(b"\0" * limits.TXN_BYTES, index, 1) for index in range(2, 6)]
    parts = list(messages.pieces({**heartbeat(1, 1, 0), "entries": big}))
    assert [part["prevLogIdx"] for part in parts] == [1, 2, 3, 4]
    assert [each for part in parts for each in part["entries"]] == big
    assert all(messages.size_bytes(part) <= limits.LOG_ENTRY_BYTES for part in parts)


def test_row_30_a_member_is_a_name_and_sets_of_members_have_one_order() -> None:
    script = "from orchestr8.raft.pinned import Member; print([str(m) for m in {Member(n) for n in ('m1','m2','m3')}])"
    orders = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(orders) == 1


def test_a_leader_that_overrules_a_committed_entry_stops_this_master() -> None:
    hand = led_by_a(writes=2)
    hand.settle()
    b = hand["b"]
    wrong = [(b"\0other", 2, b.term + 5)]
    with pytest.raises(CorruptState, match="committed"):
        b.receive("a", {**heartbeat(b.term + 5, 1, 0), "entries": wrong}, hand.now)


def test_an_upgraded_library_is_refused_on_import() -> None:
    with pytest.raises(RuntimeError, match=r"0\.3\.18 is not the 0\.3\.17"):
        pinned.check_private_names("0.3.18", pinned.SyncObj, pinned.pysyncobj.syncobj)

    class SyncObj:
        def __init__(self) -> None:
            self.__raftState = 0

    with pytest.raises(RuntimeError, match="raftElectionDeadline"):
        pinned.check_private_names("0.3.17", SyncObj, pinned.pysyncobj.syncobj)
