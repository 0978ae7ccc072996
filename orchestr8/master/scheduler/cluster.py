"""The cluster as the scheduler sees it, kept up to date change by change and never rebuilt while changes follow.

Holds facts about every node, what the pods on it take, and every pod that waits. Also keeps the answers of static
filters and scores per (needs, node): an answer is good as long as the node's facts are the same object.
Assumes changes arrive in order of revision, beginning after the view it was built from.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestr8.api.meta import Object
from orchestr8.api.node import Node
from orchestr8.api.pod import Pod
from orchestr8.master.scheduler.facts import NO_USAGE, Families, Needs, NodeFacts, PodFacts, Usage, node_facts
from orchestr8.master.scheduler.filters import STATIC_FILTERS, Wake
from orchestr8.master.scheduler.scores import STATIC_SCORES
from orchestr8.store.history import Change
from orchestr8.store.view import View

# Static answers kept at most; above, those of the needs that were not asked about for longest are forgotten.
STATIC_ANSWERS_KEPT = 200_000
NO = -1


class StaticAnswers:
    """What the static filters and scores say about nodes for ``needs``: the score, or NO.

    Answers are kept from the second search on: most needs of one-off pods are never asked about again.
    """

    def __init__(self, needs: Needs) -> None:
        self.searches = 0
        self._known: dict[str, tuple[NodeFacts, int]] = {}
        self._needs = needs
        filters = [each for each in STATIC_FILTERS if each.relevant(needs)]
        self._filters = tuple(each.passes for each in filters)
        self._plain_filters = tuple(each.passes for each in filters if not each.plain_passes)
        scores = [each for each in STATIC_SCORES if each.relevant(needs)]
        self._scores = tuple((each.weight, each.rate) for each in scores)
        self._plain_scores = tuple((each.weight, each.rate) for each in scores if each.plain_rating is None)
        self._plain_score = sum(each.weight * each.plain_rating for each in scores if each.plain_rating is not None)

    def of(self, node: NodeFacts) -> int:
        found = self._known.get(node.name)
        if found is not None and found[0] is node:
            return found[1]
        score = self._ask(node)
        if self.searches > 1:
            self._known[node.name] = (node, score)
        return score

    def forget(self, name: str) -> None:
        self._known.pop(name, None)

    def _ask(self, node: NodeFacts) -> int:
        needs, plain = self._needs, node.plain
        for passes in self._plain_filters if plain else self._filters:
            if not passes(needs, node):
                return NO
        score = self._plain_score if plain else 0
        for weight, rate in self._plain_scores if plain else self._scores:
            score += weight * rate(needs, node)
        return score


class Cluster:
    def __init__(self, revision: int = 0) -> None:
        self.revision = revision
        self.pods: dict[tuple[str, str], PodFacts] = {}
        self._families = Families()
        self._nodes: dict[str, NodeFacts] = {}
        self._usage: dict[str, Usage] = {}
        self._in_order: list[NodeFacts] | None = None
        self._answers: dict[Needs, StaticAnswers] = {}

    @classmethod
    def from_view(cls, view: View) -> Cluster:
        cluster = cls(view.revision)
        for stored in (*view.stored_list("Node"), *view.stored_list("Pod")):
            cluster.put(stored.obj)
        return cluster

    def nodes(self) -> list[NodeFacts]:
        """By name. The list is shared: do not change it."""
        if self._in_order is None:
            self._in_order = [self._nodes[name] for name in sorted(self._nodes)]
        return self._in_order

    def node(self, name: str) -> NodeFacts | None:
        return self._nodes.get(name)

    def usage(self, node_name: str) -> Usage:
        return self._usage.get(node_name, NO_USAGE)

    def waiting(self) -> Iterable[PodFacts]:
        return (pod for pod in self.pods.values() if pod.waits)

    def apply(self, change: Change) -> Wake:
        """Follows one change of the store; answers what it may mean for pods that fitted nowhere."""
        self.revision = change.revision
        key = change.key
        after = change.after.obj if change.after is not None else None
        if isinstance(after, Pod):
            before = change.before.obj if change.before is not None else None
            return self.put_pod(after, same_family=isinstance(before, Pod) and _asks_the_same(before, after))
        if isinstance(after, Node):
            return self.put_node(after)
        if key.kind == "Pod":
            return self.remove_pod(key.namespace, key.name)
        return self.remove_node(key.name) if key.kind == "Node" else Wake.NONE

    def put(self, obj: Object) -> None:
        """Takes in a Pod or a Node; other kinds do not matter here."""
        if isinstance(obj, Pod):
            self.put_pod(obj)
        elif isinstance(obj, Node):
            self.put_node(obj)

    def put_pod(self, pod: Pod, *, same_family: bool = False) -> Wake:
        key = (pod.metadata.namespace or "", pod.metadata.name or "")
        known = self.pods.get(key)
        new = self._families.read(pod, known if same_family else None)
        wake = self._release(known, unless_by=new)
        self.pods[key] = new
        if new.takes_room:
            self._usage[new.node_name] = self.usage(new.node_name).plus(new.family)
        return wake

    def remove_pod(self, namespace: str, name: str) -> Wake:
        return self._release(self.pods.pop((namespace, name), None))

    def put_node(self, node: Node) -> Wake:
        new = node_facts(node)
        old = self._nodes.get(new.name)
        if old is not None and _same(old, new):
            return Wake.NONE
        self._nodes[new.name] = new
        self._in_order = None
        return Wake.NODE_ADDED if old is None else _may_help(old, new)

    def remove_node(self, name: str) -> Wake:
        self._nodes.pop(name, None)
        self._in_order = None
        for answers in self._answers.values():
            answers.forget(name)
        return Wake.NONE

    def static_answers(self, needs: Needs) -> StaticAnswers:
        """For one search."""
        answers = self._answers.pop(needs, None)
        if answers is None:
            room = STATIC_ANSWERS_KEPT // max(1, len(self._nodes))
            while len(self._answers) >= max(1, room):
                del self._answers[next(iter(self._answers))]
            answers = StaticAnswers(needs)
        self._answers[needs] = answers  # newest last
        answers.searches += 1
        return answers

    def _release(self, pod: PodFacts | None, unless_by: PodFacts | None = None) -> Wake:
        if pod is None or not pod.takes_room:
            return Wake.NONE
        usage = self.usage(pod.node_name).minus(pod.family)
        if usage == NO_USAGE:
            self._usage.pop(pod.node_name, None)
        else:
            self._usage[pod.node_name] = usage
        still_there = unless_by is not None and unless_by.takes_room and unless_by.family is pod.family
        return Wake.NONE if still_there else Wake.POD_GONE


def _asks_the_same(before: Pod, after: Pod) -> bool:
    return before.spec == after.spec and before.metadata.owner_references == after.metadata.owner_references


def _same(old: NodeFacts, new: NodeFacts) -> bool:
    return all(getattr(old, field) == getattr(new, field) for field in NodeFacts.__struct_fields__)


def _may_help(old: NodeFacts, new: NodeFacts) -> Wake:
    wake = Wake.NONE
    if new.ready and not old.ready:
        wake |= Wake.NODE_READY
    if new.labels != old.labels:
        wake |= Wake.NODE_LABELS
    if new.taints != old.taints or (old.unschedulable and not new.unschedulable):
        wake |= Wake.NODE_TAINTS
    room = ("cpu_millis", "memory_bytes", "storage_bytes", "pods")
    grew = any(getattr(new, field) > getattr(old, field) for field in room)
    if grew or any(amount > old.extended.get(name, 0) for name, amount in new.extended.items()):
        wake |= Wake.NODE_CAPACITY
    return wake
