"""Reading conmon's log files."""

from __future__ import annotations

import datetime as dt
import itertools
import os
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.worker.runtime.base import LogOptions
from orchestr8.worker.runtime.logs import Formatter, read_log

STAMP = b"2026-01-02T03:04:05.123456789+00:00"
TEXTS = st.lists(
    st.tuples(
        st.sampled_from([b"stdout", b"stderr"]),
        st.sampled_from([b"F", b"P"]),
        st.binary(max_size=20).map(lambda text: text.replace(b"\n", b"")),
    ),
    max_size=20,
)


def entry(stream: bytes, mark: bytes, text: bytes, stamp: bytes = STAMP) -> bytes:
    return b" ".join((stamp, stream, mark, text)) + b"\n"


@given(TEXTS, st.lists(st.integers(0, 400), max_size=6))
def test_the_output_does_not_depend_on_how_the_file_was_cut(
    lines: list[tuple[bytes, bytes, bytes]], cuts: list[int]
) -> None:
    data = b"".join(entry(*line) for line in lines)
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    formatter = Formatter(LogOptions())
    pieces = [formatter.feed(data[start:end]) for start, end in itertools.pairwise(edges)]
    assert b"".join(pieces) == b"".join(text + (b"\n" if mark == b"F" else b"") for _, mark, text in lines)


def test_a_time_stands_once_before_a_line_that_came_in_parts() -> None:
    formatter = Formatter(LogOptions(timestamps=True))
    data = entry(b"stdout", b"P", b"one ") + entry(b"stdout", b"F", b"two") + entry(b"stdout", b"F", b"three")
    assert formatter.feed(data) == STAMP + b" one two\n" + STAMP + b" three\n"


def test_lines_before_since_are_left_out() -> None:
    since = dt.datetime(2026, 1, 2, 3, 4, 6, tzinfo=dt.UTC)
    late = b"2026-01-02T05:04:07+02:00"
    data = entry(b"stdout", b"F", b"early") + entry(b"stdout", b"F", b"late", late)
    assert Formatter(LogOptions(since=since)).feed(data) == b"late\n"


def test_what_is_no_entry_is_passed_over() -> None:
    assert Formatter(LogOptions()).feed(b"garbage\n\n" + entry(b"stdout", b"F", b"good")) == b"good\n"


async def never() -> None:
    await trio.sleep_forever()


async def collect(path: Path, options: LogOptions) -> bytes:
    return b"".join([piece async for piece in read_log(str(path), options, never)])


@pytest.mark.parametrize("wanted", [0, 1, 2, 3, 4, 1000, 4999, 5000, 5001, 9000])
async def test_the_tail_is_the_last_lines_however_long_the_file(wanted: int, tmp_path: Path) -> None:
    lines = [b"line %d " % number + b"x" * (number % 50) for number in range(5000)]
    log = tmp_path / "ctr.log"
    log.write_bytes(b"".join(entry(b"stdout", b"P", b"a ") + entry(b"stdout", b"F", line) for line in lines))
    expected = [b"a " + line + b"\n" for line in lines[max(0, len(lines) - wanted) :]] if wanted else []
    # A line that came in parts counts as one, and starts with its first part.
    assert await collect(log, LogOptions(tail_lines=wanted)) == b"".join(expected)


async def test_following_goes_on_in_the_fresh_file_after_the_size_limit(tmp_path: Path) -> None:
    log, ended = tmp_path / "ctr.log", trio.Event()
    log.write_bytes(entry(b"stdout", b"F", b"old"))
    received = b""
    with trio.fail_after(10):
        async for piece in read_log(str(log), LogOptions(follow=True), ended.wait):
            received += piece
            if received == b"old\n":
                fresh = tmp_path / "ctr.log.tmp"
                fresh.write_bytes(entry(b"stdout", b"F", b"new"))
                os.replace(fresh, log)
            elif received == b"old\nnew\n":
                ended.set()
    assert received == b"old\nnew\n"


async def test_a_file_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    assert await collect(tmp_path / "none.log", LogOptions()) == b""
