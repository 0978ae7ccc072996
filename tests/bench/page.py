"""``python -m tests.bench.page RESULTS.json``: puts a run's figures into docs/benchmarks.md.

A row of a table there begins with a figure's name; what was measured, whether it was met and what stood beside it are
taken from the run, the other cells are people's words. The lines between the two marks tell when and on what.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.figures import spread
from tests.bench.machine import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
_RUN = re.compile(r"(<!-- run -->\n).*?(<!-- end of run -->)", re.DOTALL)


def filled(page: str, results: Mapping[str, Any]) -> str:
    """The page with the figures of ``results`` (what --output wrote). A figure without a row, or a row that was not
    measured, is left alone."""
    figures = {figure["name"]: figure for figure in results["figures"]}
    lines = [_row(line, figures) if line.startswith("| ") else line for line in page.split("\n")]
    return _RUN.sub(lambda match: match[1] + _run(results) + match[2], "\n".join(lines))


def _row(line: str, figures: Mapping[str, Any]) -> str:
    name, target, *_, others, bounds = (cell.strip() for cell in line.strip("|").split("|"))
    figure = figures.get(name)
    if figure is None:
        return line
    met = {None: "", True: "yes", False: "**no**"}[figure["met"]]
    beside = "; ".join(f"{each['label']} {spread(each['values'], figure['unit'])}" for each in figure["beside"])
    cells = [name, target, f"**{spread(figure['values'], figure['unit'])}**", met, beside, others, bounds]
    return f"| {' | '.join(cells)} |"


def _run(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    loads = ", ".join(f"{name} {part['before']['load'][0]:.1f}" for name, part in results["parts"].items())
    system = f"{machine['system']}, kernel {machine['kernel']}, Python {machine['python']}"
    return (
        f"- {results['date']}, commit `{results['commit'][:12]}`, `{results['command']}`, {results['seconds']} s\n"
        f"- {machine['cores']} cores ({machine['processor']}, virtual), {machine['memory_mib']} MiB, {system},"
        f" {machine['podman']}, {' '.join(machine['crun'])}\n"
        f"- load over one minute before the run {machine['load'][0]:.1f}; before each part, its predecessors' work"
        f" included: {loads}\n"
    )


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(), json.loads(Path(sys.argv[1]).read_text())))
