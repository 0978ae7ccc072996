from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from orchestr8.master.controllers.timetable import Timetable
from orchestr8.store.command import Key

A, B = Key("Pod", "default", "a"), Key("Pod", "default", "b")


def taken(table, now):
    found = []
    while (key := table.take(now)) is not None:
        found.append(key)
    return found


def test_keys_are_taken_once_in_the_order_of_their_wakes():
    table = Timetable(0.0)
    for key in (B, A, B):
        table.wake(key)
    assert table.next_due() == -math.inf
    assert taken(table, 0.0) == [B, A]
    assert table.next_due() == math.inf


def test_a_key_is_due_at_the_time_it_asked_for():
    table = Timetable(0.0)
    table.wake_at(A, 5.0)
    assert (taken(table, 4.9), table.next_due()) == ([], 5.0)
    assert taken(table, 5.0) == [A]


def test_a_look_makes_earlier_wishes_void():
    table = Timetable(0.0)
    table.wake_at(A, 5.0)
    table.looked(A, 1.0)
    assert taken(table, 10.0) == []
    table.wake_at(A, 20.0)
    table.wake_at(A, 15.0)
    assert taken(table, 16.0) == [A]
    assert taken(table, 30.0) == []


def test_a_resting_key_waits_for_the_end_of_its_rest_and_others_do_not():
    table = Timetable(2.0)
    table.looked(A, 0.0)
    for key in (A, B, A):
        table.wake(key)
    assert taken(table, 1.0) == [B]
    assert taken(table, 2.0) == [A]


def test_a_key_that_rested_undisturbed_is_not_due():
    table = Timetable(2.0)
    table.looked(A, 0.0)
    assert taken(table, 3.0) == []
    table.wake(A)
    assert taken(table, 3.0) == [A]


def test_wishes_that_are_void_do_not_pile_up():
    table = Timetable(0.0)
    for number in range(10_000):
        table.looked(A, float(number))
        table.wake_at(A, 1e9 + number)
    assert len(table._heap) < 200
    assert table.next_due() < math.inf


@given(st.lists(st.tuples(st.sampled_from([A, B]), st.sampled_from(["wake", "at", "look"]), st.integers(0, 20))))
def test_no_wake_is_lost(actions):
    table = Timetable(3.0)
    owed = set()
    for now, (key, action, at) in enumerate(actions):
        if action == "wake":
            table.wake(key)
            owed.add(key)
        elif action == "at":
            table.wake_at(key, now + at)
            owed.add(key)
        else:
            for due in taken(table, float(now)):
                table.looked(due, float(now))
                owed.discard(due)
    assert owed <= set(taken(table, 1_000.0))
