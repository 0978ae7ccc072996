"""Judgements about what Podman 4.3 and 5.4 say."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.worker.runtime import translate
from orchestr8.worker.runtime.base import (
    EXIT_CODE_UNKNOWN,
    LABEL_POD_UID,
    ContainerPhase,
    ContainerSpec,
    Mount,
    Sandbox,
    SandboxSpec,
)
from orchestr8.worker.runtime.confinement import Confinement
from orchestr8.worker.runtime.streams import Frames

NEVER = "0001-01-01T00:00:00Z"
START, END = "2026-01-02T03:04:05.123456789Z", "2026-01-02T03:05:05Z"
FREE = Confinement(rlimits={}, oom_score_min=-1000)


def inspected(status: str, *, started: str = START, finished: str = NEVER, code: int = 0, oom: bool = False) -> Any:
    state = {"Status": status, "StartedAt": started, "FinishedAt": finished, "ExitCode": code, "OOMKilled": oom}
    return {"Id": "c1", "State": {**state, "Pid": 7}, "Config": {"Labels": {}}, "Created": START}


@pytest.mark.parametrize(
    ("what", "found", "alive", "keeper", "phase", "code"),
    [
        ("never started", inspected("created", started=NEVER), False, False, ContainerPhase.CREATED, None),
        ("runs", inspected("running"), True, True, ContainerPhase.RUNNING, None),
        ("ended", inspected("exited", finished=END, code=3), False, False, ContainerPhase.EXITED, 3),
        ("host went down, as 4.3 tells it", inspected("created"), False, False, ContainerPhase.EXITED, -1),
        ("host went down, as 5.4 tells it", inspected("exited"), False, False, ContainerPhase.EXITED, -1),
        ("monitor and process killed, 4.3", inspected("running"), False, False, ContainerPhase.EXITED, -1),
        (
            "the same after a stop, 5.4",
            inspected("exited", finished=END, code=-1),
            False,
            False,
            ContainerPhase.EXITED,
            -1,
        ),
        ("monitor killed, process alive", inspected("running"), True, False, ContainerPhase.RUNNING, None),
    ],
)
def test_the_phase_is_what_really_is(
    what: str, found: Any, alive: bool, keeper: bool, phase: ContainerPhase, code: int | None
) -> None:
    state = translate.container_state(found, alive=alive, keeper_alive=keeper, oom_kills=0)
    assert (state.phase, state.exit_code) == (phase, code), what
    assert state.pid == (7 if phase is ContainerPhase.RUNNING else 0)


@pytest.mark.parametrize(
    ("code", "flag", "kills", "verdict"),
    [
        (137, False, 1, True),  # 4.3: the flag is always false, the cgroup counts
        (137, True, 0, True),  # 5.4
        (137, False, 0, False),  # somebody's SIGKILL
        (3, True, 1, False),  # a child died of it, the main process went on
    ],
)
def test_out_of_memory_is_the_verdict_only_when_the_main_process_died_of_it(
    code: int, flag: bool, kills: int, verdict: bool
) -> None:
    found = inspected("exited", finished=END, code=code, oom=flag)
    state = translate.container_state(found, alive=False, keeper_alive=False, oom_kills=kills)
    assert state.oom_killed is verdict


def test_a_lost_monitor_is_told_while_the_process_lives_and_after() -> None:
    living = translate.container_state(inspected("running"), alive=True, keeper_alive=False, oom_kills=0)
    dead = translate.container_state(inspected("running"), alive=False, keeper_alive=False, oom_kills=0)
    assert living.keeper_lost and dead.keeper_lost and dead.exit_code == EXIT_CODE_UNKNOWN
    ended = translate.container_state(
        inspected("exited", finished=END, code=0), alive=False, keeper_alive=False, oom_kills=0
    )
    assert not ended.keeper_lost


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05.123456789Z", dt.datetime(2026, 1, 2, 3, 4, 5, 123456, dt.UTC)),
        ("2026-01-02T05:04:05.1+02:00", dt.datetime(2026, 1, 2, 3, 4, 5, 100000, dt.UTC)),
        ("2026-01-02T03:04:05Z", dt.datetime(2026, 1, 2, 3, 4, 5, 0, dt.UTC)),
        (NEVER, None),
        ("", None),
    ],
)
def test_gos_times_are_read(text: str, moment: dt.datetime | None) -> None:
    assert translate.parse_time(text) == moment


def test_a_container_is_asked_for_with_its_limits() -> None:
    sandbox = Sandbox(id="s1", pod_uid="u1", labels={}, network_pid=1, created_at=dt.datetime.now(dt.UTC))
    spec = ContainerSpec(
        name="main",
        attempt=2,
        image="i",
        memory_bytes=1 << 26,
        cpu_millis=250,
        cpu_shares=100,
        pids_limit=50,
        oom_score_adj=-997,
        mounts=(Mount(source="/a", target="/b", read_only=True),),
    )
    body = translate.container_body(sandbox, spec, Confinement(rlimits={"nofile": 20}, oom_score_min=0))
    assert body["resource_limits"] == {
        "memory": {"limit": 1 << 26, "swap": 1 << 26},
        "cpu": {"quota": 25_000, "period": 100_000, "shares": 100},
        "pids": {"limit": 50},
    }
    assert body["r_limits"] == [{"type": "nofile", "soft": 20, "hard": 20}]
    assert body["oom_score_adj"] == 0, "a confined root may not lower it"
    assert body["mounts"][0]["options"] == ["rbind", "ro"] and body["restart_policy"] == "no"
    assert "entrypoint" not in body and "command" not in body, "the image's own would be lost"


def test_only_the_first_process_of_a_sandbox_goes_without_a_filter_and_only_on_podman_4() -> None:
    spec = SandboxSpec(pod_uid="u", namespace="n", name="p", hostname="h")
    assert "security_opt" in translate.sandbox_body(spec, "infra", "4.3.1")
    assert "security_opt" not in translate.sandbox_body(spec, "infra", "5.4.2")
    sandbox = Sandbox(id="s1", pod_uid="u", labels={}, network_pid=1, created_at=dt.datetime.now(dt.UTC))
    assert "security_opt" not in translate.container_body(sandbox, ContainerSpec(name="c", attempt=0, image="i"), FREE)


def test_the_end_of_a_pull_tells_the_image_or_the_complaint() -> None:
    good = b'{"stream":"Copying blob"}\n{"images":["abc"],"id":"abc"}\n'
    assert translate.pulled_id(good) == "abc"
    for bad in (b'{"error":"manifest unknown"}\n', b"", b'{"stream":"x"}\n', b'{"id":"abc"}\n{"error":"broken"}\n'):
        with pytest.raises(ValueError, match=r"manifest|without|broken"):
            translate.pulled_id(bad)


def test_labels_make_a_container_ours() -> None:
    assert translate.is_ours({"Labels": {LABEL_POD_UID: "u"}})
    assert not translate.is_ours({"Labels": None}) and not translate.is_ours({"Labels": {"app": "web"}})


@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=30)), max_size=10),
    st.lists(st.integers(0, 300), max_size=6),
)
def test_frames_are_taken_apart_however_they_arrive(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(bytes([channel, 0, 0, 0]) + len(text).to_bytes(4, "big") + text for channel, text in frames)
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    reader, output = Frames(), {"stdout": b"", "stderr": b""}
    for start, end in itertools.pairwise(edges):
        for channel, piece in reader.feed(data[start:end]):
            output[channel] += piece
    for number, name in ((1, "stdout"), (2, "stderr")):
        assert output[name] == b"".join(text for channel, text in frames if channel == number)
