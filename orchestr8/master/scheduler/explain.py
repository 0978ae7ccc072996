"""Why a pod is where it is, or nowhere: every node with every filter's answer, not only the first no.

``explain`` computes the whole table from the state as it is, on any master, when somebody asks. ``refuse`` is the
short form that each round keeps for pods it could not place: the one-line message of the PodScheduled condition and
the FailedScheduling event, and the changes that would make another try worth while. ``table`` is what
``orchestr8 why`` prints. Pure.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence

import msgspec

from orchestr8.api.pod import Pod
from orchestr8.errors import NotFound
from orchestr8.master.scheduler.cluster import Cluster
from orchestr8.master.scheduler.facts import Family, NodeFacts, Usage
from orchestr8.master.scheduler.filters import DYNAMIC_FILTERS, STATIC_FILTERS, Cell, Wake
from orchestr8.master.scheduler.scores import DYNAMIC_SCORES, FULL, STATIC_SCORES
from orchestr8.store.view import View

_HINTS = 5
_NO_NODES = "no nodes available to schedule pods: no worker has joined yet (orchestr8 join)"


class Refusal(msgspec.Struct, frozen=True):
    """``message`` like kube-scheduler's; ``wake``: the changes that one of the failed filters can see."""

    message: str
    wake: Wake


class NodeAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """``scores``: weighted points, 100 is the best of a score with weight 1; empty where the pod does not fit."""

    node: str
    fits: bool
    cells: tuple[Cell, ...]
    scores: dict[str, float] = {}

    @property
    def total(self) -> float:
        return sum(self.scores.values())


class Explanation(msgspec.Struct, frozen=True, rename="camel"):
    """``state``: Pending, Gated, Bound or Finished. ``nodes``: those that fit first, best first; then by name."""

    namespace: str
    name: str
    state: str
    headline: str
    created: dt.datetime | None = None
    nodes: tuple[NodeAnswer, ...] = ()
    hints: tuple[str, ...] = ()


def refuse(family: Family, nodes: Sequence[NodeFacts], usage: Sequence[Usage]) -> Refusal:
    """Why ``family`` fits on none of ``nodes``; ``usage`` in the same order."""
    counts: Counter[str] = Counter()
    wake = Wake.NODE_ADDED
    for node, used in zip(nodes, usage, strict=True):
        for helped_by, cells in _inspect(family, node, used):
            for cell in cells:
                if not cell.ok:
                    counts[cell.summary] += 1
                    wake |= helped_by
    return Refusal(_message(len(nodes), counts), wake)


def explain(view: View, namespace: str, name: str) -> Explanation:
    """The answer for one pod. Raises NotFound. A bound pod is rated as if it were to be placed now."""
    pod = view.get(Pod, namespace, name)
    if pod is None:
        raise NotFound(f'pod "{name}" not found in namespace "{namespace}"')
    cluster = Cluster.from_view(view)
    facts = cluster.pods[(namespace, name)]
    created = pod.metadata.creation_timestamp
    cluster.remove_pod(namespace, name)
    answers = [_answer(facts.family, node, cluster.usage(node.name)) for node in cluster.nodes()]
    answers.sort(key=lambda each: (not each.fits, -each.total, each.node))
    fitting = sum(1 for each in answers if each.fits)
    hints: tuple[str, ...] = ()
    if facts.node_name and facts.takes_room:
        state, headline = "Bound", f"on node {facts.node_name}; {fitting} of {len(answers)} nodes would fit now."
    elif not facts.waits:
        state, headline = "Finished", "finished or being deleted; nothing is to be placed."
    elif facts.gates:
        state, headline = "Gated", f"held back by its scheduling gates: {', '.join(facts.gates)}."
    else:
        state, headline = "Pending", f"{fitting} of {len(answers)} nodes fit." if answers else f"{_NO_NODES}."
        hints = () if fitting else _hints(answers)
    return Explanation(namespace, name, state, headline, created, tuple(answers), hints)


def table(explanation: Explanation, now: dt.datetime) -> str:
    """The text of ``orchestr8 why``: a headline, one line a node, and what would help."""
    age = _age(now - explanation.created) if explanation.created is not None else ""
    lines = [f"{explanation.state}{f' {age}' if age else ''}: {explanation.headline}"]
    columns = list(dict.fromkeys(cell.column for node in explanation.nodes for cell in node.cells))
    rows = [["NODE", *columns, "score"]]
    for node in explanation.nodes:
        cells = {cell.column: cell for cell in node.cells}
        score = f"{node.total:.0f}" if node.fits else "-"
        rows.append([node.node, *(_mark(cells.get(column)) for column in columns), score])
    if explanation.nodes:
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines += [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
    if explanation.hints:
        lines.append("Would fit if:  " + " | ".join(explanation.hints))
    return "\n".join(lines)


def _answer(family: Family, node: NodeFacts, usage: Usage) -> NodeAnswer:
    cells = tuple(cell for _, cells in _inspect(family, node, usage) for cell in cells)
    fits = all(cell.ok for cell in cells)
    return NodeAnswer(node.name, fits, cells, _points(family, node, usage) if fits else {})


def _inspect(family: Family, node: NodeFacts, usage: Usage) -> list[tuple[Wake, tuple[Cell, ...]]]:
    needs = family.needs
    static = [(each.helped_by, each.inspect(needs, node)) for each in STATIC_FILTERS if each.relevant(needs)]
    dynamic = [(f.helped_by, f.inspect(family, node, usage)) for f in DYNAMIC_FILTERS if f.relevant(family)]
    return static + dynamic


def _points(family: Family, node: NodeFacts, usage: Usage) -> dict[str, float]:
    needs = family.needs
    rated = [(each, each.rate(needs, node)) for each in STATIC_SCORES if each.relevant(needs)]
    points = {each.name: each.weight * rating * 100 / FULL for each, rating in rated}
    for score in DYNAMIC_SCORES:
        if score.relevant(family):
            points[score.name] = score.weight * score.rate(family, node, usage) * 100 / FULL
    return points


def _message(nodes: int, counts: Counter[str]) -> str:
    if not nodes:
        return _NO_NODES
    reasons = ", ".join(sorted(f"{count} {summary}" for summary, count in counts.items()))
    return f"0/{nodes} nodes are available: {reasons}."


def _hints(answers: Sequence[NodeAnswer]) -> tuple[str, ...]:
    """What would open a node, for the nodes that lack least: at most two things each."""
    wrong = [[cell.remedy for cell in answer.cells if not cell.ok] for answer in answers]
    near = sorted((remedies for remedies in wrong if len(remedies) <= 2), key=len)
    return tuple(dict.fromkeys(" and ".join(remedies) for remedies in near))[:_HINTS]


def _mark(cell: Cell | None) -> str:
    if cell is None:
        return ""
    return f"{'✓' if cell.ok else '✗'} {cell.detail}".rstrip()


def _age(age: dt.timedelta) -> str:
    seconds = max(0, int(age.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    return f"{minutes} m" if minutes < 120 else f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} d"
