"""Figures say the truth about their values: what is judged, what is met, what stands beside them."""

from __future__ import annotations

import pytest

from tests.bench.figures import Figure, Series, as_json, table
from tests.bench.page import filled


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (Figure("a", "s", [0.1, 0.3, 9.0], target=0.4), True),  # the median counts, not one bad repetition
        (Figure("a", "s", [0.5, 0.3, 0.5], target=0.4), False),
        (Figure("a", "MB", [40.0, 71.0], target=70, judged="max"), False),  # each process must meet it
        (Figure("a", "/s", [2_000.0], target=2_468, at_least=True), False),
        (Figure("a", "/s", [2_500.0], target=2_468, at_least=True), True),
        (Figure("a", "s", [1.0]), None),
    ],
)
def test_a_target_is_met_by_what_is_judged(figure: Figure, met: bool | None) -> None:
    assert figure.met is met


def test_the_document_holds_every_value_and_what_was_measured_beside_it() -> None:
    figure = Figure("a", "s", [0.25, 0.75, 0.5], target=1, beside=[Series("bare", [0.125])])
    found = as_json(figure)
    assert (found["median"], found["min"], found["max"], found["repetitions"]) == (0.5, 0.25, 0.75, 3)
    assert found["values"] == [0.25, 0.75, 0.5]
    assert (found["target_is"], found["met"]) == ("at most", True)
    assert found["beside"] == [
        {"label": "bare", "repetitions": 1, "median": 0.125, "min": 0.125, "max": 0.125, "values": [0.125]}
    ]


def test_the_table_prefers_what_was_measured_in_the_same_run_to_what_was_published() -> None:
    figures = [
        Figure("a", "s", [0.2], target=0.1, beside=[Series("bare", [0.1])], published="peer 5 s"),
        Figure("b", "/s", [1_234.0], published="peer 5/s"),
    ]
    _, first, second = table(figures).splitlines()
    assert "NO" in first and "bare 0.10 s" in first and "peer" not in first
    assert "1,234 /s" in second and second.endswith("peer 5/s")


def test_the_page_takes_figures_from_a_run_and_keeps_the_words_around_them() -> None:
    page = "\n".join(
        [
            "<!-- run -->",
            "old",
            "<!-- end of run -->",
            "| what | target | measured | met | beside | others | bounds |",
            "|---|---|---|---|---|---|---|",
            "| a | <= 0.1 s | **9 s** | yes |  | peer 5 s | the disk |",
            "| not measured | <= 1 s | **0.5 s** | yes |  |  | nothing |",
        ]
    )
    figure = Figure("a", "s", [0.2], target=0.1, beside=[Series("bare", [0.15])])
    run = {
        "date": "2026-01-01",
        "commit": "0123456789abcdef",
        "command": "python -m tests.bench",
        "seconds": 1,
        "parts": {"one": {"before": {"load": [0.25, 0, 0]}}},
        "machine": {
            **dict.fromkeys(["cores", "processor", "memory_mib", "system", "kernel", "python", "podman"], "x"),
            "crun": [],
            "load": [0.5, 0, 0],
        },
        "figures": [as_json(figure)],
    }
    lines = filled(page, run).splitlines()
    assert "| a | <= 0.1 s | **0.20 s** | **no** | bare 0.15 s | peer 5 s | the disk |" in lines
    assert "| not measured | <= 1 s | **0.5 s** | yes |  |  | nothing |" in lines
    assert "old" not in lines and any("commit `0123456789ab`" in line for line in lines)
