"""What a benchmark hands back, and how it is written as JSON and as a table. Pure.

A figure holds every value that was measured; median, smallest and largest follow from them. What it is compared with
was measured in the same run (``beside``) or is somebody's published figure (``published``), never mixed up.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Series:
    """``values``: one per repetition, in the figure's unit."""

    label: str
    values: Sequence[float]


@dataclass(frozen=True)
class Figure:
    """``values``: one per repetition, or one per process where ``judged`` is "max": then the worst must meet the
    target. ``at_least``: the target is a floor (a rate), else a ceiling. ``details``: what helps to read it."""

    name: str
    unit: str
    values: Sequence[float]
    target: float | None = None
    at_least: bool = False
    judged: Literal["median", "max"] = "median"
    beside: Sequence[Series] = ()
    published: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def judged_value(self) -> float:
        return max(self.values) if self.judged == "max" else statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """None where there is no target."""
        if self.target is None:
            return None
        return self.judged_value >= self.target if self.at_least else self.judged_value <= self.target


def as_json(figure: Figure) -> dict[str, Any]:
    return {
        "name": figure.name,
        "unit": figure.unit,
        **_summary(figure.values),
        "judged": figure.judged,
        "target": figure.target,
        "target_is": None if figure.target is None else "at least" if figure.at_least else "at most",
        "met": figure.met,
        "beside": [{"label": series.label, **_summary(series.values)} for series in figure.beside],
        "published": figure.published,
        "details": figure.details,
    }


def table(figures: Sequence[Figure]) -> str:
    """One line a figure: measured, target, met or not, beside what."""
    rows = [("what", "measured: median (min-max), n", "target", "met", "beside it, in the same run")]
    for figure in figures:
        sign = ">=" if figure.at_least else "<="
        target = "" if figure.target is None else f"{sign} {_number(figure.target)} {figure.unit}"
        met = {None: "", True: "yes", False: "NO"}[figure.met]
        beside = "; ".join(f"{series.label} {spread(series.values, figure.unit)}" for series in figure.beside)
        rows.append((figure.name, spread(figure.values, figure.unit), target, met, beside or figure.published))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def _summary(values: Sequence[float]) -> dict[str, Any]:
    return {
        "repetitions": len(values),
        "median": _rounded(statistics.median(values)),
        "min": _rounded(min(values)),
        "max": _rounded(max(values)),
        "values": [_rounded(value) for value in values],
    }


def spread(values: Sequence[float], unit: str) -> str:
    middle = f"{_number(statistics.median(values))} {unit}"
    if len(values) == 1:
        return middle
    return f"{middle} ({_number(min(values))}-{_number(max(values))}), {len(values)}"


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
