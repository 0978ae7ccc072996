"""Thresholds, and real requests of a real host."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.api.pod import ContainerPort, Probe
from orchestr8.worker.agent.node.files import Files
from orchestr8.worker.agent.node.host import HttpRequest, ProbeFailed
from orchestr8.worker.agent.node.linux import LinuxHost
from orchestr8.worker.agent.pods.actions import port_number
from orchestr8.worker.agent.pods.probes import Tally, count
from tests.unit.worker.agent.world import container


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 4), st.integers(1, 4))
def test_a_verdict_turns_after_so_many_results_in_a_row(results: list[bool], rise: int, fall: int) -> None:
    probe, tally = Probe(success_threshold=rise, failure_threshold=fall), Tally()
    for index, result in enumerate(results):
        before, tally = tally, count(tally, probe, result)
        row = results[: index + 1][-(rise if result else fall) :]
        if len(row) == (rise if result else fall) and all(item is result for item in row):
            assert tally.outcome is result
        else:
            assert tally.outcome is before.outcome


def test_ports_are_found_by_number_and_by_name() -> None:
    wanted = container(ports=(ContainerPort(name="http", container_port=8080),))
    assert [port_number(wanted, port) for port in (80, "80", "http")] == [80, 80, 8080]
    with pytest.raises(ProbeFailed, match="no port named 'grpc'"):
        port_number(wanted, "grpc")


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """A server on 127.0.0.1 that says this to everybody; its port."""

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@pytest.fixture
def host(tmp_path: Path) -> LinuxHost:
    return LinuxHost(tmp_path, Files(tmp_path, tmp_path))


async def test_an_http_probe_gets_status_and_body(host: LinuxHost) -> None:
    async with answering(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy") as port:
        request = HttpRequest(scheme="http", host="127.0.0.1", port=port, path="/healthz", headers=(("X-A", "b"),))
        assert await host.http_get(request) == (503, "busy")


@pytest.mark.parametrize("answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
async def test_an_answer_that_is_no_http_is_a_failed_probe(answer: bytes, host: LinuxHost) -> None:
    async with answering(answer) as port:
        with pytest.raises(ProbeFailed):
            await host.http_get(HttpRequest(scheme="http", host="127.0.0.1", port=port, path="/"))


async def test_a_closed_port_is_a_failed_probe(host: LinuxHost) -> None:
    async with answering(b"") as port:
        await host.tcp_connect("127.0.0.1", port)
    with pytest.raises(ProbeFailed, match="refused"):
        await host.tcp_connect("127.0.0.1", port)


async def test_the_facts_of_this_host_are_plausible(host: LinuxHost) -> None:
    facts, pressure = await host.facts(), await host.pressure()
    assert facts.cpu_count >= 1 and facts.memory_bytes > 1 << 26 and len(facts.boot_id) == 36
    assert 0 < pressure.memory_available_bytes <= facts.memory_bytes and pressure.pids_available > 0
