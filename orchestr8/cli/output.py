"""What goes to the terminal: tables, JSON, YAML, names, colour, and progress for what takes longer than a second.

Results go to stdout, everything about them to stderr. Colour and moving lines only on a terminal; elsewhere a plain
line for each change. Columns come from the server.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

import click

FORMATS = ("json", "yaml", "wide", "name")

_GAP = "   "
_GOOD = {"Running", "Ready", "Active", "Completed", "Succeeded", "True", "Bound"}
_WAITING = {"Pending", "ContainerCreating", "Terminating", "PodInitializing", "SchedulingDisabled", "Unknown"}
_BAD = ("Error", "BackOff", "NotReady", "Failed", "Invalid", "OOMKilled", "Evicted", "Lost")


class Table:
    """Rows under a header; the widths of the first rows are kept, so that a watch's later rows line up."""

    def __init__(self, columns: Sequence[str], *, header: bool = True) -> None:
        self._columns = [column.upper() for column in columns]
        self._header = header
        self._widths: list[int] = []

    def show(self, rows: Iterable[Sequence[Any]]) -> None:
        cells = [[_cell(value) for value in row] for row in rows]
        first = not self._widths
        shown = [self._columns, *cells] if first and self._header else cells
        self._widths = [
            max([width, *(len(row[index]) for row in shown)])
            for index, width in enumerate(self._widths or [0] * len(self._columns))
        ]
        color = sys.stdout.isatty()
        out = []
        for number, row in enumerate(shown):
            is_header = first and self._header and number == 0
            out.append(self._line(row, is_header, color))
        if out:
            click.echo("\n".join(out))

    def _line(self, row: list[str], is_header: bool, color: bool) -> str:
        last = len(row) - 1
        padded = [
            text if index == last else text.ljust(width)
            for index, (text, width) in enumerate(zip(row, self._widths, strict=True))
        ]
        if color and is_header:
            padded = [click.style(text, bold=True) for text in padded]
        elif color:
            padded = [_colored(text) for text in padded]
        return _GAP.join(padded).rstrip()


def table_rows(table: dict[str, Any], *, wide: bool, with_namespace: bool) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a server's ``Table``. Columns of a priority above 0 are for -o wide."""
    shown = [index for index, column in enumerate(table["columnDefinitions"]) if wide or not column.get("priority", 0)]
    columns = [table["columnDefinitions"][index]["name"] for index in shown]
    rows = [[row["cells"][index] for index in shown] for row in table.get("rows") or ()]
    if with_namespace:
        columns.insert(0, "Namespace")
        for row, source in zip(rows, table.get("rows") or (), strict=True):
            row.insert(0, source.get("object", {}).get("metadata", {}).get("namespace", ""))
    return columns, rows


def show_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=4, ensure_ascii=False))


def show_yaml(document: Any) -> None:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    click.echo(
        yaml.dump(document, Dumper=dumper, sort_keys=True, default_flow_style=False, allow_unicode=True), nl=False
    )


def show_object(document: Any, form: str) -> None:
    """``form``: json or yaml."""
    show_json(document) if form == "json" else show_yaml(document)


def warn(texts: Iterable[str]) -> None:
    for text in texts:
        click.echo(click.style("warning: ", fg="yellow", bold=True) + text, err=True)


def age(seconds: float) -> str:
    """As kubectl writes it: two units while it is young."""
    total = max(0, int(seconds))
    if total < 120:
        return f"{total}s"
    minutes, hours, days = total // 60, total // 3600, total // 86_400
    if minutes < 10:
        return f"{minutes}m{total % 60}s" if total % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y{days % 365}d"


class Progress:
    """What is being waited for, on stderr, once it takes longer than a second.

    On a terminal one line that changes and is wiped at the end; elsewhere a line for each change.
    """

    _PATIENCE_SECONDS = 1.0

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._shown = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal and self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)

    def update(self, text: str) -> None:
        waited = time.monotonic() - self._since
        if waited < self._PATIENCE_SECONDS:
            return
        if self._terminal:
            click.echo(f"\r\x1b[K  {text}  {int(waited)} s", err=True, nl=False)
            self._shown = text
        elif text != self._shown:
            click.echo(f"  {text}", err=True)
            self._shown = text


def _cell(value: Any) -> str:
    return "<none>" if value is None or value == "" else str(value).replace("\n", " ")


def _colored(text: str) -> str:
    word = text.strip().partition(",")[0]
    if word in _GOOD:
        return click.style(text, fg="green")
    if word in _WAITING:
        return click.style(text, fg="yellow")
    if any(bad in word for bad in _BAD) and " " not in word:
        return click.style(text, fg="red")
    return text
