"""Label and field selectors select what Kubernetes says they do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.api import kinds, selectors
from orchestr8.api.meta import LabelSelector, LabelSelectorRequirement, ObjectMeta
from orchestr8.api.pod import Pod, PodSpec, PodStatus
from orchestr8.errors import BadRequest

LABELS = {"app": "web", "tier": "front", "level": "5", "example.com/empty": ""}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app=db", False),
        ("app!=db", True),
        ("other!=db", True),
        ("app", True),
        ("other", False),
        ("!other", True),
        ("!app", False),
        ("app in (web, db)", True),
        ("app in (db)", False),
        ("app notin (db,cache)", True),
        ("other notin (db)", True),
        ("app=web,tier in (front),!other", True),
        ("app=web,tier=back", False),
        ("level>4", True),
        ("level<5", False),
        ("app>4", False),
        ("example.com/empty=", True),
        ("example.com/empty in (,x)", True),
        (" app = web , tier = front ", True),
    ],
)
def test_a_label_selector_selects(text: str, selected: bool) -> None:
    assert selectors.parse_labels(text).matches(LABELS) is selected


@pytest.mark.parametrize(
    "text",
    [
        "=web",
        "app=web,",
        "app in web",
        "app in (web",
        "app,,tier",
        "a b",
        "app>x",
        "-app",
        "app=-x",
        "app=(",
        "a" * 400,
    ],
)
def test_a_malformed_label_selector_is_a_bad_request_that_quotes_it(text: str) -> None:
    with pytest.raises(BadRequest, match="unable to parse label selector"):
        selectors.parse_labels(text)


def test_more_requirements_than_the_bound_are_refused() -> None:
    with pytest.raises(BadRequest, match="at most 256"):
        selectors.parse_labels(",".join(["a"] * 300))


@given(st.text(max_size=60))
def test_any_text_parses_or_is_a_bad_request(text: str) -> None:
    try:
        selector = selectors.parse_labels(text)
    except BadRequest:
        return
    assert selectors.parse_labels(str(selector)) == selector


words = st.from_regex(r"[a-z]([a-z0-9]{0,5})", fullmatch=True).filter(lambda word: word not in ("in", "notin"))
requirements = st.one_of(
    st.builds(
        lambda key, operator, values: LabelSelectorRequirement(
            key=key, operator=operator, values=tuple(sorted(values))
        ),
        words,
        st.sampled_from(["In", "NotIn"]),
        st.sets(words, min_size=1, max_size=3),
    ),
    st.builds(LabelSelectorRequirement, key=words, operator=st.sampled_from(["Exists", "DoesNotExist"])),
)
objects = st.builds(
    LabelSelector,
    match_labels=st.dictionaries(words, words, max_size=3),
    match_expressions=st.lists(requirements, max_size=3).map(tuple),
)


@given(objects, st.dictionaries(words, words, max_size=5))
def test_the_text_of_a_selector_object_selects_the_same(selector: LabelSelector, labels: dict[str, str]) -> None:
    text = selectors.format_object(selector)
    assert selectors.parse_labels(text).matches(labels) == selectors.from_object(selector).matches(labels)


def test_no_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not selectors.from_object(None).matches(LABELS)
    assert selectors.from_object(LabelSelector()).matches(LABELS)
    assert not selectors.from_labels({}).matches(LABELS)


POD = Pod(metadata=ObjectMeta(name="a", namespace="d"), spec=PodSpec(node_name="n1"), status=PodStatus(phase="Running"))


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("metadata.name=a", True),
        ("metadata.name==b", False),
        ("spec.nodeName=n1,status.phase!=Failed", True),
        ("status.podIP=", True),
        ("metadata.namespace!=d", False),
        (r"metadata.name=a\,b", False),
    ],
)
def test_a_field_selector_selects_pods(text: str, selected: bool) -> None:
    kind = kinds.by_name("Pod")
    assert kinds.matches_field_selector(kind, POD, selectors.parse_fields(text)) is selected


@pytest.mark.parametrize("text", ["metadata.name", "=a", "spec.nodeName>n", "spec.hostname=x"])
def test_a_field_that_cannot_be_selected_by_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest):
        kinds.check_fields(kinds.by_name("Pod"), selectors.parse_fields(text))
