"""What stands between the wire and pysyncobj, so that its defects cannot lose acknowledged writes (G1 to G5).

As shipped it cuts a follower's log after prevLogIdx even where entries agree (G1), counts an acknowledgement of an old
term (G2), commits on a message that proves nothing about the log (G3), counts one vote twice (G4), and never catches up
when several conflicting batches are in flight (G5). Each rule is one method, so that the simulation can take one away
and must then find the bug. Sans-IO: messages in, messages out; it reads the log and changes nothing.
Assumes messages.parse has checked shapes and that the sender is a member.
"""

from __future__ import annotations

from typing import Protocol

from orchestr8.errors import CorruptState
from orchestr8.raft.messages import Message


class Log(Protocol):
    """What the guard reads of the journal."""

    @property
    def base_index(self) -> int: ...
    @property
    def last_index(self) -> int: ...
    def term_at(self, index: int) -> int | None: ...


class Seat(Protocol):
    """What the guard reads of the core."""

    @property
    def commit_index(self) -> int: ...
    def term(self) -> int: ...
    def leads(self) -> bool: ...


class Guard:
    def __init__(self, seat: Seat, log: Log) -> None:
        self._seat = seat
        self._log = log
        self._matched: int | None = (
            None  # while a message is delivered: acknowledge this index instead of the log's end
        )
        self._votes: tuple[int, set[str]] = (0, set())
        self._reset: tuple[str, int, int] | None = None  # leader, term, lowest index asked for since the last success

    # -- from a peer to the core -------------------------------------------------------------------------------
    def incoming(self, peer: str, message: Message) -> Message | None:
        """The message to deliver; None: drop it. Call ``delivered`` after the core has had it."""
        match message["type"]:
            case "append_entries":
                if message["term"] < self._seat.term():
                    return None
                if "prevLogIdx" not in message:
                    return self.commit_without_proof(message)
                return self.skip_known_entries(message)
            case "next_node_idx":
                return message if self.is_of_this_term(message) else None
            case "response_vote":
                return message if self.is_new_vote(peer, message) else None
            case "request_vote" | "timeout_now":
                return message
            case _:
                return None  # apply_command, transmission and whatever else the library would serve

    def delivered(self) -> None:
        self._matched = None

    def skip_known_entries(self, message: Message) -> Message:
        """G1: entries that are here with the same term stay; only the rest goes on."""
        log = self._log
        matched = message["prevLogIdx"]
        if matched >= log.base_index and log.term_at(matched) != message["prevLogTerm"]:
            return message  # missing here, or in conflict: the core asks for an earlier one
        rest: list[tuple[bytes, int, int]] = []
        for place, (_, index, term) in enumerate(message["entries"]):
            # What is at or below the base is committed, so a leader of this term or later has the same there.
            if index > log.base_index and log.term_at(index) != term:
                rest = message["entries"][place:]
                break
            matched = index
        if not rest:
            self._matched = matched
            end = log.last_index
            commit = min(message["commit_index"], matched)
            return {
                **message,
                "prevLogIdx": end,
                "prevLogTerm": log.term_at(end),
                "entries": [],
                "commit_index": commit,
            }
        if matched < self._seat.commit_index and matched < log.last_index:
            raise CorruptState(
                f"the leader of term {message['term']} overrules entry {matched + 1}, which is committed"
            )
        return {**message, "prevLogIdx": matched, "prevLogTerm": log.term_at(matched), "entries": rest}

    def commit_without_proof(self, message: Message) -> Message:
        """G3: a message that says nothing about the log before it may not raise the commit index."""
        return {**message, "commit_index": min(message["commit_index"], self._seat.commit_index)}

    def is_of_this_term(self, message: Message) -> bool:
        """G2: an acknowledgement counts only for the leader of the term it was made in."""
        return self._seat.leads() and message["term"] == self._seat.term()

    def is_new_vote(self, peer: str, message: Message) -> bool:
        """G4: a voter counts once a term."""
        if self._votes[0] != message["term"]:
            self._votes = (message["term"], set())
        if peer in self._votes[1]:
            return False
        self._votes[1].add(peer)
        return True

    # -- from the core to a peer -------------------------------------------------------------------------------
    def outgoing(self, peer: str, message: Message) -> Message | None:
        match message["type"]:
            case "next_node_idx":
                message = self.ask_for_conflict_start(peer, message) if message["reset"] else self.acknowledge(message)
                return {**message, "term": self._seat.term()}
            case "append_entries" | "request_vote" | "response_vote" | "timeout_now":
                return message
            case _:
                return None

    def acknowledge(self, message: Message) -> Message:
        if message["success"]:
            self._reset = None
        if self._matched is not None:
            return {**message, "next_node_idx": self._matched + 1}
        return message

    def ask_for_conflict_start(self, peer: str, message: Message) -> Message:
        """G5: go back to where the conflicting term begins, and do not come forward again before a success."""
        log, index, commit = self._log, message["next_node_idx"], self._seat.commit_index
        term = log.term_at(index)
        while term is not None and index > commit + 1 and log.term_at(index - 1) == term:
            index -= 1
        if self._reset is not None and self._reset[:2] == (peer, self._seat.term()):
            index = min(index, self._reset[2])
        index = max(index, commit + 1)  # after the rest: a snapshot may have been installed since the last reset
        self._reset = (peer, self._seat.term(), index)
        return {**message, "next_node_idx": index}
