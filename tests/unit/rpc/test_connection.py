"""The wire as bytes: two pure state machines joined back to back, and one against hand-written frames."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr8 import limits
from orchestr8.errors import Conflict, LocalProtocolError, RemoteProtocolError
from orchestr8.rpc import connection as wire
from orchestr8.rpc.connection import Wire
from orchestr8.rpc.frame import encode


def carry(source: Wire, target: Wire):
    return target.receive(source.data_to_send(10**9))


def test_a_call_is_answered_under_the_id_of_its_caller():
    here, there = Wire(), Wire()
    number = here.call("echo", {"a": 1}, 5)
    (called,) = carry(here, there)
    assert called == wire.Called(-number, "echo", {"a": 1}, 5)
    there.answer(called.id, "yes")
    assert carry(there, here) == [wire.Answered(number, "yes")]


def test_both_sides_use_the_same_numbers_without_confusion():
    here, there = Wire(), Wire()
    mine, theirs = here.call("a", None, 1), there.call("b", None, 1)
    assert mine == theirs == 1
    (called_there,) = carry(here, there)
    (called_here,) = carry(there, here)
    there.answer(called_there.id, "to here")
    here.fail(called_here.id, Conflict("to there"))
    assert carry(there, here) == [wire.Answered(1, "to here")]
    (failed,) = carry(here, there)
    assert (failed.id, failed.error.code) == (1, "Conflict")


def test_an_answer_that_crosses_its_cancel_is_dropped():
    here, there = Wire(), Wire()
    number = here.call("slow", None, 5)
    (called,) = carry(here, there)
    there.answer(called.id, "late")
    here.cancel(number)
    assert carry(there, here) == []
    assert carry(here, there) == []


def test_messages_that_cross_a_cancel_are_dropped():
    here, there = Wire(), Wire()
    number = here.open("tail", None)
    (opened,) = carry(here, there)
    there.send(opened.id, "line")
    here.cancel(number)
    assert carry(there, here) == []
    assert carry(here, there) == [wire.Cancelled(opened.id)]
    there.answer(opened.id, None)
    assert there.data_to_send() == b""


def test_many_frames_leave_in_one_piece():
    here, there = Wire(), Wire()
    for _ in range(100):
        here.call("x", None, 1)
    assert len(there.receive(here.data_to_send())) == 100
    assert here.data_to_send() == b""


def test_only_calls_whose_bytes_have_left_count_as_sent():
    here = Wire()
    first = here.call("a", None, 1)
    here.data_to_send()
    second = here.call("b", None, 1)
    assert here.was_sent(first)
    assert not here.was_sent(second)


def test_a_stream_ends_half_by_half():
    here, there = Wire(), Wire()
    number = here.open("copy", None)
    (opened,) = carry(here, there)
    here.send(number, 1)
    here.send_eof(number)
    assert carry(here, there) == [wire.MessageReceived(opened.id, 1, 8), wire.EofReceived(opened.id)]
    there.send(opened.id, 2)
    there.answer(opened.id, None)
    assert carry(there, here) == [wire.MessageReceived(number, 2, 8), wire.Answered(number, None)]
    with pytest.raises(LocalProtocolError, match="has ended"):
        here.send(number, 3)


def test_sending_after_our_own_end_is_our_fault():
    here = Wire()
    number = here.open("copy", None)
    here.send_eof(number)
    with pytest.raises(LocalProtocolError, match="closed our half"):
        here.send(number, 1)


def test_sending_into_a_closed_window_is_our_fault_and_a_grant_opens_it():
    here, there = Wire(), Wire()
    number = here.open("copy", None)
    for _ in range(limits.RPC_STREAM_WINDOW_MESSAGES):
        here.send(number, 1)
    assert not here.may_send(number)
    with pytest.raises(LocalProtocolError, match="window is closed"):
        here.send(number, 1)
    opened, *messages = carry(here, there)
    for message in messages[: limits.RPC_STREAM_WINDOW_MESSAGES // 2]:
        there.read(opened.id, message.size)
    assert carry(there, here) == [wire.WindowOpened(number)]
    assert here.may_send(number)


# -- a peer that breaks the rules --------------------------------------------------------------------------

OPENED = [[wire.STREAM, 1, "s", None]]
CALLED = [[wire.CALL, 1, "c", None, 1]]
FAULTS = {
    "not a list": [7],
    "empty list": [[]],
    "kind is a bool": [[True, 1, "c", None, 1]],
    "kind is not known": [[99, 1]],
    "id is text": [[wire.CALL, "1", "c", None, 1]],
    "too few items": [[wire.CALL, 1, "c"]],
    "method is bytes": [[wire.CALL, 1, b"c", None, 1]],
    "deadline is negative": [[wire.CALL, 1, "c", None, -1]],
    "deadline is too long": [[wire.CALL, 1, "c", None, 1e9]],
    "deadline is not a number": [[wire.CALL, 1, "c", None, float("nan")]],
    "id is of the other side": [[wire.CALL, -1, "c", None, 1]],
    "id is zero": [[wire.CALL, 0, "c", None, 1]],
    "id is used twice": CALLED * 2,
    "ids go back": [[wire.CALL, 2, "c", None, 1], *CALLED],
    "answer to what was never asked": [[wire.RESULT, -1, None]],
    "answer to its own call": [*CALLED, [wire.RESULT, 1, None]],
    "cancel of what was never asked": [[wire.CANCEL, 1]],
    "cancel of what it was asked": [[wire.CANCEL, -1]],
    "message for what was never opened": [[wire.MESSAGE, 1, None]],
    "message on a call": [*CALLED, [wire.MESSAGE, 1, None]],
    "message after its end": [*OPENED, [wire.EOF, 1], [wire.MESSAGE, 1, None]],
    "end after its end": [*OPENED, [wire.EOF, 1], [wire.EOF, 1]],
    "more messages than the window": [*OPENED, *[[wire.MESSAGE, 1, None]] * (limits.RPC_STREAM_WINDOW_MESSAGES + 1)],
    "more bytes than the window": [*OPENED, *[[wire.MESSAGE, 1, bytes(limits.MIB)]] * 2],
    "grant without need": [*OPENED, [wire.GRANT, 1, 1, 0]],
    "grant of less than nothing": [*OPENED, [wire.GRANT, 1, -1, 0]],
    "grant that is no number": [*OPENED, [wire.GRANT, 1, None, 0]],
    "fault without text": [[wire.GOODBYE, 0, 1, 2, 3]],
    "more calls than allowed": [[wire.CALL, n, "c", None, 1] for n in range(1, limits.RPC_CALLS_IN_FLIGHT + 2)],
    "more streams than allowed": [[wire.STREAM, n, "s", None] for n in range(1, limits.RPC_STREAMS_PER_CONNECTION + 2)],
    "pings without reading": [[wire.PING, 0]] * (limits.RPC_CONTROL_BYTES // 6),
}


@pytest.mark.parametrize("frames", FAULTS.values(), ids=FAULTS.keys())
def test_a_broken_rule_is_the_peers_fault(frames):
    with pytest.raises(RemoteProtocolError):
        Wire().receive(b"".join(encode(frame) for frame in frames))


def test_the_end_inside_a_frame_is_the_peers_fault():
    here = Wire()
    here.receive(encode([wire.PING, 0])[:-1])
    with pytest.raises(RemoteProtocolError, match="inside a frame"):
        here.receive_end()


def test_items_of_a_newer_peer_are_ignored():
    (event,) = Wire().receive(encode([wire.CALL, 1, "c", None, 1, "new", {"too": 1}]))
    assert event == wire.Called(-1, "c", None, 1)


def test_an_error_code_of_a_newer_peer_stays_readable():
    here = Wire()
    number = here.call("x", None, 1)
    (failed,) = here.receive(encode([wire.FAULT, -number, "NewCode", "what happened", {}]))
    assert str(failed.error) == "NewCode: what happened"


def test_a_peer_cannot_blame_our_own_code():
    here = Wire()
    number = here.call("x", None, 1)
    (failed,) = here.receive(encode([wire.FAULT, -number, "LocalProtocolError", "bug", {}]))
    assert not isinstance(failed.error, LocalProtocolError)


kinds = st.sampled_from([wire.CALL, wire.STREAM, wire.RESULT, wire.CANCEL, wire.MESSAGE, wire.EOF, wire.GRANT, 9, 10])
frames = st.tuples(kinds, st.integers(-4, 4), st.sampled_from(["m", None, 1]), st.integers(0, 3), st.integers(0, 3))


@settings(max_examples=300)
@given(st.lists(frames, max_size=12))
def test_no_frames_raise_anything_but_a_remote_protocol_error(sequence):
    here = Wire()
    here.call("mine", None, 1)
    here.open("mine", None)
    with contextlib.suppress(RemoteProtocolError):
        here.receive(b"".join(encode(list(frame)) for frame in sequence))


verbs = st.lists(
    st.tuples(st.booleans(), st.sampled_from(["open", "send", "eof", "read", "end", "carry"])), max_size=60
)


@settings(max_examples=300)
@given(verbs)
def test_two_sides_that_keep_the_rules_never_find_fault_with_each_other(steps):
    """Whatever legal verbs both sides choose and however frames cross, messages arrive in order and once."""
    sides = (Wire(), Wire())
    unread: tuple[list, list] = ([], [])
    sent: tuple[dict, dict] = ({}, {})
    received: tuple[dict, dict] = ({}, {})
    eof: set = set()

    def deliver(to: int) -> None:
        for event in carry(sides[1 - to], sides[to]):
            if isinstance(event, wire.MessageReceived):
                unread[to].append(event)
                received[to].setdefault(event.id, []).append(event.value)

    for first, verb in steps:
        me = int(first)
        side = sides[me]
        streams = list(side._streams)
        number = streams[-1] if streams else None
        if verb == "open" and side.may_open:
            side.open("s", None)
        elif verb == "carry":
            deliver(me)
        elif verb == "read" and unread[me]:
            event = unread[me].pop(0)
            side.read(event.id, event.size)
        elif number is None:
            continue
        elif verb == "send" and side.may_send(number) and (me, number) not in eof:
            so_far = sent[me].setdefault(number, [])
            so_far.append(len(so_far))
            side.send(number, so_far[-1])
        elif verb == "eof" and (me, number) not in eof:
            eof.add((me, number))
            side.send_eof(number)
        elif verb == "end" and number < 0:
            side.answer(number, None)
        elif verb == "end":
            side.cancel(number)
    deliver(0)
    deliver(1)
    for to in (0, 1):
        for number, values in received[to].items():
            assert values == sent[1 - to][-number][: len(values)]
