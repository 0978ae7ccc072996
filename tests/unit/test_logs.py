"""Logs: the same message is let through ten times a minute, then counted."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from orchestr8.logs import SAME_MESSAGE_PER_MINUTE, RateLimit, configure, get_logger, set_level


@pytest.fixture(autouse=True)
def configuration_of_this_test_alone() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_a_flood_is_counted_and_told_in_the_next_minute() -> None:
    now = [0.0]
    limit = RateLimit(lambda: now[0])
    let_through = 0
    for _ in range(SAME_MESSAGE_PER_MINUTE + 5):
        try:
            limit(None, "info", {"event": "peer gone"})
            let_through += 1
        except structlog.DropEvent:
            pass
    now[0] = 61.0
    assert let_through == SAME_MESSAGE_PER_MINUTE
    assert limit(None, "info", {"event": "peer gone"})["suppressed"] == 5


def test_under_systemd_a_line_is_json_behind_its_priority(capsys: pytest.CaptureFixture[str]) -> None:
    configure(level="info", format="auto", journal=True, role="master", node="m1")
    get_logger().debug("hidden")
    get_logger(term=7).warning("leader lost")
    line = capsys.readouterr().err.strip()
    assert line.startswith("<4>{")
    fields = json.loads(line[3:])
    assert (fields["event"], fields["term"], fields["role"], fields["node"]) == ("leader lost", 7, "master", "m1")


def test_another_level_holds_for_loggers_that_are_there_already(capsys: pytest.CaptureFixture[str]) -> None:
    configure(level="warning", format="json", journal=False, role="master")
    log = get_logger()
    log.info("hidden")
    set_level("info")
    log.info("seen")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["seen"]
