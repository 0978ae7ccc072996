"""When a node was last heard of, as seen by a master that hears some nodes itself and of others from its peers."""

from __future__ import annotations

from orchestr8.master.nodes.heartbeats import Heartbeats

MEMBERS = ("m1", "m2", "m3")


def listening(now: float = 100.0, members: tuple[str, ...] = MEMBERS) -> Heartbeats:
    return Heartbeats("m1", members, now)


def keep_in_touch(beats: Heartbeats, now: float) -> None:
    beats.heard("m2", {}, now)
    beats.tick(now)


def test_a_node_never_heard_of_counts_from_when_we_began_to_listen() -> None:
    assert listening(100.0).last_seen("w1") == 100.0


def test_a_heartbeat_here_counts() -> None:
    beats = listening()
    beats.beat("w1", 103.0)
    assert beats.last_seen("w1") == 103.0


def test_a_report_counts_by_age_and_an_older_one_takes_nothing_back() -> None:
    beats = listening()
    beats.heard("m2", {"w1": 0.5}, 110.0)
    beats.heard("m3", {"w1": 7.0}, 111.0)
    assert beats.last_seen("w1") == 109.5


def test_a_report_from_nobody_we_know_is_ignored() -> None:
    beats = listening()
    beats.heard("m9", {"w1": 0.0}, 110.0)
    assert (beats.last_seen("w1"), beats.where("w1", 110.0)) == (100.0, None)


def test_ages_from_the_future_do_not_make_a_node_younger_than_now() -> None:
    beats = listening()
    beats.heard("m2", {"w1": -50.0}, 110.0)
    assert beats.last_seen("w1") == 110.0


def test_a_worker_is_where_it_was_heard_last() -> None:
    beats = listening()
    beats.heard("m2", {"w1": 3.0}, 110.0)
    beats.heard("m3", {"w1": 0.2}, 110.0)
    assert beats.where("w1", 110.0) == "m3"


def test_an_old_report_says_nothing_about_where_a_worker_is() -> None:
    beats = listening()
    beats.heard("m2", {"w1": 0.0}, 110.0)
    assert (beats.where("w1", 112.0), beats.where("w1", 120.0)) == ("m2", None)


def test_a_worker_that_left_is_no_longer_there() -> None:
    beats = listening()
    beats.heard("m2", {"w1": 0.0}, 110.0)
    beats.heard("m2", {}, 111.0)
    assert beats.where("w1", 111.0) is None
    assert beats.last_seen("w1") == 110.0


def test_we_report_the_workers_that_are_connected_here() -> None:
    beats = listening()
    beats.connected("w1", 101.0)
    beats.connected("w2", 101.0)
    beats.beat("w2", 104.0)
    beats.disconnected("w1")
    assert beats.report(104.5) == {"w2": 0.5}


def test_a_master_that_slept_does_not_take_its_silence_for_the_nodes() -> None:
    beats = listening(100.0)
    for second in range(1, 5):
        beats.beat("w1", 100.0 + second)
        keep_in_touch(beats, 100.0 + second)
    keep_in_touch(beats, 140.0)
    assert beats.last_seen("w1") == 140.0


def test_a_steady_master_reports_the_nodes_silence() -> None:
    beats = listening(100.0)
    beats.beat("w1", 101.0)
    for second in range(2, 20):
        keep_in_touch(beats, 100.0 + second)
    assert beats.last_seen("w1") == 101.0


def test_a_master_cut_off_from_the_others_says_so_and_listens_afresh_when_back() -> None:
    beats = listening(100.0)
    keep_in_touch(beats, 101.0)
    for second in range(2, 12):
        beats.tick(100.0 + second)
    assert not beats.in_touch(111.0)
    keep_in_touch(beats, 112.0)
    assert beats.in_touch(112.0)
    assert beats.last_seen("w1") == 112.0


def test_a_single_master_is_always_in_touch() -> None:
    assert listening(100.0, ("m1",)).in_touch(10_000.0)


def test_nodes_that_are_long_gone_are_forgotten() -> None:
    beats = listening(100.0)
    beats.beat("w1", 101.0)
    for second in range(2, 800):
        keep_in_touch(beats, 100.0 + second)
    assert beats.last_seen("w1") == 100.0
