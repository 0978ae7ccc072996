"""When the table is loaded: at once after a pause, together with what comes while a load is due."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from orchestr8.worker.network.base import Backend, NetworkFailed, ServicePort
from orchestr8.worker.network.commands import Commands
from orchestr8.worker.network.nft import LOAD_SECONDS_MIN, Table
from orchestr8.worker.network.ruleset import Place

PLACE = Place(node_ip="10.77.0.11", pod_cidr="10.70.1.0/24")


class Recorder(Commands):
    """Notes when nft was given which backends, instead of starting it. ``refuse``: the next load fails; ``flushed``:
    somebody else removed the table."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[tuple[float, str]] = []
        self.refuse = self.flushed = False

    async def run(self, *argv: str, stdin: str = "") -> str:
        await trio.lowlevel.checkpoint()
        if self.refuse:
            self.refuse = False
            raise NetworkFailed("nft says no")
        if "list" in argv:
            return "" if self.flushed else "table ip theirs\ntable ip o8\n"
        self.loads.append((trio.current_time(), stdin))
        return ""


def web(last: int) -> tuple[ServicePort, ...]:
    backend = Backend(f"10.70.1.{last}", 80)
    return (ServicePort(name="d/w/80", cluster_ip="10.96.0.1", protocol="tcp", port=80, backends=(backend,)),)


async def test_the_first_change_after_a_pause_is_loaded_at_once(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    table = Table(recorder)
    await table.load(web(1), (), PLACE)
    await trio.sleep(5)
    start = trio.current_time()
    await table.load(web(2), (), PLACE)
    assert [at for at, _ in recorder.loads] == [start - 5, start]


async def test_changes_that_come_quickly_are_one_load_and_every_caller_waits_for_it(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    table = Table(recorder)
    await table.load(web(1), (), PLACE)
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for last in range(2, 30):
            nursery.start_soon(table.load, web(last), (), PLACE)
            await trio.sleep(0.001)
    assert len(recorder.loads) == 2
    at, text = recorder.loads[-1]
    assert at == pytest.approx(start + LOAD_SECONDS_MIN)
    assert "10.70.1.29" in text


async def test_an_unchanged_table_is_not_loaded_again(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    table = Table(recorder)
    await table.load(web(1), (), PLACE)
    await table.load(web(1), (), PLACE)
    assert len(recorder.loads) == 1


async def test_a_table_that_somebody_flushed_is_put_back_by_the_next_call(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    table = Table(recorder)
    await table.load(web(1), (), PLACE)
    recorder.flushed = True
    await table.load(web(1), (), PLACE)
    assert [text for _, text in recorder.loads] == [recorder.loads[0][1]] * 2


async def test_a_refused_load_is_told_to_the_caller_and_tried_again_by_the_next_call(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    table = Table(recorder)
    recorder.refuse = True
    with pytest.raises(NetworkFailed, match="nft says no"):
        await table.load(web(1), (), PLACE)
    await table.load(web(1), (), PLACE)
    assert "10.70.1.1" in recorder.loads[-1][1]
