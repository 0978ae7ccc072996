"""What must reach a master does, once, in batches, and again when somebody spoke over it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from orchestr8 import limits
from orchestr8.errors import Unavailable
from orchestr8.worker.agent.masters.outbox import EVENTS_KEPT, Outbox, PodName

WEB = PodName("default", "web", "uid-web")


class Master:
    """Remembers calls; ``failures`` of them are answered with Unavailable first."""

    def __init__(self, failures: int = 0) -> None:
        self.calls: list[tuple[float, str, dict[str, Any]]] = []
        self.failures = failures

    async def call(self, method: str, params: Any = None) -> Any:
        await trio.sleep(0.01)
        if self.failures:
            self.failures -= 1
            raise Unavailable("no quorum")
        self.calls.append((trio.current_time(), method, params))
        return {"refused": []}

    def statuses(self) -> list[bytes]:
        return [
            item["status"] for _, method, params in self.calls if method == "node.status" for item in params["pods"]
        ]


async def sending(outbox: Outbox, master: Master, seconds: float) -> None:
    with trio.move_on_after(seconds):
        await outbox.send(master)


async def test_only_the_newest_status_of_a_pod_is_sent(autojump_clock: MockClock) -> None:
    outbox, master = Outbox(), Master()
    for text in (b"1", b"2", b"3"):
        outbox.pod_status(WEB, text)
    await sending(outbox, master, 1)
    assert master.statuses() == [b"3"]
    outbox.pod_status(WEB, b"3")
    await sending(outbox, master, 1)
    assert master.statuses() == [b"3"], "nothing was new"


async def test_what_was_not_accepted_is_sent_in_the_next_session(autojump_clock: MockClock) -> None:
    outbox, master = Outbox(), Master(failures=1)
    outbox.pod_status(WEB, b"1")
    outbox.finished(PodName("default", "old", "uid-old"))
    with pytest.raises(Unavailable):
        await outbox.send(master)
    await sending(outbox, master, 1)
    assert master.statuses() == [b"1"]
    assert master.calls[0][2]["finished"] == [{"namespace": "default", "name": "old", "uid": "uid-old"}]


async def test_a_change_during_a_call_is_sent_after_it(autojump_clock: MockClock) -> None:
    outbox, master = Outbox(), Master()
    outbox.pod_status(WEB, b"1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sending, outbox, master, 1)
        await trio.sleep(0.005)
        outbox.pod_status(WEB, b"2")
    assert master.statuses() == [b"1", b"2"]


async def test_batches_are_bounded_and_paced_but_a_phase_change_does_not_wait(autojump_clock: MockClock) -> None:
    outbox, master = Outbox(), Master()
    for index in range(limits.STATUS_BATCH_PODS + 1):
        outbox.pod_status(PodName("default", f"p{index}", f"u{index}"), b"x")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sending, outbox, master, 1)
        await trio.sleep(0.5)
        outbox.pod_status(WEB, b"1")
        await trio.sleep(0.02)
        outbox.pod_status(WEB, b"2", urgent=True)
        await trio.sleep(0.02)
        assert master.statuses()[-1] == b"2"
    assert [len(params["pods"]) for _, _, params in master.calls[:2]] == [limits.STATUS_BATCH_PODS, 1]
    assert master.calls[1][0] - master.calls[0][0] >= limits.STATUS_BATCH_SECONDS * 0.9


async def test_a_new_session_hears_every_status_and_a_contradiction_is_answered(autojump_clock: MockClock) -> None:
    outbox, master = Outbox(), Master()
    outbox.pod_status(WEB, b"1")
    await sending(outbox, master, 1)
    outbox.repeat()
    await sending(outbox, master, 1)
    outbox.correct(WEB)
    outbox.correct(PodName("default", "unknown", "u"))
    await sending(outbox, master, 1)
    assert master.statuses() == [b"1"] * 3


async def test_events_are_bounded_while_no_master_listens(autojump_clock: MockClock) -> None:
    outbox, master = Outbox(), Master()
    for index in range(EVENTS_KEPT + 50):
        outbox.event({"kind": "Pod"}, "Normal", "Started", str(index))
    await sending(outbox, master, 60)
    told = [
        event["message"] for _, method, params in master.calls if method == "node.events" for event in params["events"]
    ]
    assert told == [str(index) for index in range(50, EVENTS_KEPT + 50)]
