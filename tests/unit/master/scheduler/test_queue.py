"""Who is tried next, and who waits for what."""

from __future__ import annotations

from orchestr8.master.scheduler.filters import Wake
from orchestr8.master.scheduler.queue import Queue
from tests.unit.master.scheduler.world import cluster, pod, waiting


def facts(*pods: object) -> list:
    return waiting(cluster([], pods))  # type: ignore[arg-type]


def test_priority_goes_before_age_and_age_before_name() -> None:
    queue = Queue()
    for each in facts(pod("a", age=1), pod("b", age=9), pod("c", priority=5), pod("d", age=1)):
        queue.offer(each)
    assert [each.name for each in queue.take(10, 10)] == ["c", "b", "a", "d"]
    assert queue.take(10, 10) == []


def test_a_round_is_bounded_by_pods_and_by_families() -> None:
    queue = Queue()
    for each in facts(*(pod(f"p{i}", age=9 - i, owner=f"rs{i // 2}") for i in range(6))):
        queue.offer(each)
    assert [each.name for each in queue.take(10, 2)] == ["p0", "p1", "p2", "p3"]
    assert [each.name for each in queue.take(1, 10)] == ["p4"]
    assert len(queue) == 1


def test_a_parked_pod_waits_for_what_can_help_it() -> None:
    queue = Queue()
    (one,) = facts(pod("p"))
    queue.offer(one)
    queue.take(1, 1)
    queue.park(one, Wake.POD_GONE | Wake.NODE_ADDED)
    queue.wake(Wake.NODE_LABELS)
    assert len(queue) == 0
    queue.wake(Wake.POD_GONE)
    assert [each.name for each in queue.take(1, 1)] == ["p"]


def test_the_full_pass_wakes_everybody() -> None:
    queue = Queue()
    (one,) = facts(pod("p"))
    queue.park(one, Wake.NODE_ADDED)
    queue.wake_all()
    assert len(queue) == 1


def test_a_write_that_changes_nothing_about_a_parked_pod_leaves_it_parked() -> None:
    queue = Queue()
    made = cluster([], [pod("p", cpu="1")])
    (one,) = waiting(made)
    queue.park(one, Wake.NODE_ADDED)
    made.put_pod(pod("p", cpu="1"))
    queue.offer(*waiting(made))
    assert len(queue) == 0
    made.put_pod(pod("p", cpu="2"))
    queue.offer(*waiting(made))
    assert len(queue) == 1


def test_a_discarded_pod_is_gone_wherever_it_was() -> None:
    queue = Queue()
    one, two = facts(pod("a"), pod("b"))
    queue.offer(one)
    queue.park(two, Wake.ANY)
    queue.discard(one.key)
    queue.discard(two.key)
    queue.wake_all()
    assert queue.take(10, 10) == []


def test_a_pod_offered_twice_is_tried_once() -> None:
    queue = Queue()
    (one,) = facts(pod("a"))
    queue.offer(one)
    queue.offer(one)
    assert len(queue.take(10, 10)) == 1
