from __future__ import annotations

import pytest

from orchestr8.api.meta import LabelSelector, LabelSelectorRequirement
from orchestr8.api.pod import Pod
from orchestr8.api.selectors import from_labels, from_object, parse_labels
from orchestr8.errors import Expired
from orchestr8.store.history import Change, History
from tests.unit.store.build import delete, filled, key, owned, pod, put, run, txn


def names(pods: list[Pod]) -> list[str]:
    return [f"{each.metadata.namespace}/{each.metadata.name}" for each in pods]


def test_a_list_is_ordered_by_namespace_and_name() -> None:
    view = filled(pod("b", "y"), pod("c", "x"), pod("a", "y"), pod("a", "x")).view()
    assert names(view.list(Pod)) == ["x/a", "x/c", "y/a", "y/b"]
    assert names(view.list(Pod, "y")) == ["y/a", "y/b"]
    assert view.list(Pod, "z") == []


def test_pods_are_found_by_node_while_they_are_bound() -> None:
    state = filled(pod("a"), pod("b", node="n1"))
    assert names(state.view().pods_on("n1")) == ["default/b"]
    run(state, txn(put(pod("a", node="n1"))))
    assert names(state.view().pods_on("n1")) == ["default/a", "default/b"]
    run(state, txn(delete(pod("b"))))
    assert names(state.view().pods_on("n1")) == ["default/a"]


def test_dependents_are_found_by_the_uid_of_their_owner() -> None:
    state = filled(pod("a", owner_references=owned("u1")), pod("b", owner_references=owned("u2")))
    assert [each.metadata.name for each in state.view().owned_by("u1")] == ["a"]
    run(state, txn(put(pod("b", owner_references=owned("u1"))), put(pod("a"))))
    assert [each.metadata.name for each in state.view().owned_by("u1")] == ["b"]
    assert state.view().owned_by("u2") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("app=web", ["a", "b"]),
        ("app=web,tier=front", ["a"]),
        ("app", ["a", "b", "c"]),
        ("app notin (web)", ["c", "d"]),
        ("app in (web,db)", ["a", "b", "c"]),
        ("app=none", []),
        ("", ["a", "b", "c", "d"]),
    ],
)
def test_a_selector_finds_by_label(text: str, found: list[str]) -> None:
    view = filled(
        pod("b", labels={"app": "web"}),
        pod("a", labels={"app": "web", "tier": "front"}),
        pod("c", labels={"app": "db"}),
        pod("d"),
        pod("other", "elsewhere", labels={"app": "web"}),
    ).view()
    assert [each.metadata.name for each in view.matching(Pod, "default", parse_labels(text))] == found


def test_an_object_stays_found_after_its_labels_changed() -> None:
    state = filled(pod("a", labels={"app": "web"}))
    run(state, txn(put(pod("a", labels={"app": "db"}))))
    assert state.view().matching(Pod, "default", from_labels({"app": "web"})) == []
    expression = LabelSelectorRequirement(key="app", operator="In", values=("db",))
    selector = from_object(LabelSelector(match_expressions=(expression,)))
    assert names(state.view().matching(Pod, "default", selector)) == ["default/a"]


def test_the_json_of_an_object_carries_its_resource_version_and_is_shared() -> None:
    view = filled(pod("a"), pod("b")).view()
    stored = view.stored("Pod", "default", "b")
    assert stored is not None
    assert b'"resourceVersion":"2"' in stored.json
    assert view.stored_list("Pod")[1].json is stored.json


def test_a_past_view_shows_what_was_there() -> None:
    state = filled(pod("a", node="n1", owner_references=owned("u1")), pod("b"))
    run(state, txn(delete(pod("a")), put(pod("b", labels={"x": "y"})), put(pod("c", node="n1"))))
    past = state.view().at(2)
    assert names(past.list(Pod)) == ["default/a", "default/b"]
    assert past.get(Pod, "default", "c") is None
    assert names(past.pods_on("n1")) == ["default/a"]
    assert [each.metadata.name for each in past.owned_by("u1")] == ["a"]
    assert past.matching(Pod, "default", from_labels({"x": "y"})) == []
    assert names(past.at(1).list(Pod)) == ["default/a"]


def test_history_forgets_the_oldest_and_says_so() -> None:
    history = History(10, bound=3)
    for revision in range(11, 16):
        history.append(Change(revision, key(pod("a")), None, None))
    assert [change.revision for change in history.since(12)] == [13, 14, 15]
    assert list(history.since(15)) == []
    for revision in (11, 16):
        with pytest.raises(Expired):
            history.since(revision)
