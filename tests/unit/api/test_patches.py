"""Merge patches follow RFC 7386, JSON patches RFC 6902 within bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.api import patch
from orchestr8.api.pod import Pod
from orchestr8.errors import BadRequest, Invalid

# The examples of RFC 7386, appendix A: target, patch, result.
RFC_7386: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "change", "result"), RFC_7386)
def test_a_merge_patch_does_what_the_rfc_shows(target: Any, change: Any, result: Any) -> None:
    before = json.dumps(target)
    assert patch.merge_patch(target, change) == result
    assert json.dumps(target) == before


texts = st.text(st.characters(codec="utf-8", exclude_characters="$"), max_size=3)
documents = st.dictionaries(
    texts,
    st.recursive(
        st.one_of(st.integers(), st.booleans(), texts),
        lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(texts, inner, max_size=3)),
        max_leaves=6,
    ),
    max_size=4,
)


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    change: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        if key not in before or not (isinstance(value, dict) and isinstance(before[key], dict)):
            change[key] = value
        else:
            change[key] = difference(before[key], value)
    return change


@given(documents, documents)
def test_a_merge_patch_made_of_a_difference_leads_there(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert patch.merge_patch(before, difference(before, after)) == after
    assert patch.strategic_merge_patch(None, before, difference(before, after)) == after


TARGET: dict[str, Any] = {"metadata": {"labels": {"a/b": "1"}}, "spec": {"list": [1, 2]}}


@pytest.mark.parametrize(
    ("operations", "result"),
    [
        ([{"op": "add", "path": "/spec/new", "value": 1}], {"list": [1, 2], "new": 1}),
        ([{"op": "add", "path": "/spec/list/-", "value": 3}], {"list": [1, 2, 3]}),
        ([{"op": "replace", "path": "/spec/list/0", "value": 9}], {"list": [9, 2]}),
        ([{"op": "remove", "path": "/spec/list"}], {}),
        ([{"op": "move", "from": "/spec/list", "path": "/spec/other"}], {"other": [1, 2]}),
        ([{"op": "copy", "from": "/spec/list/0", "path": "/spec/first"}], {"list": [1, 2], "first": 1}),
        ([{"op": "test", "path": "/metadata/labels/a~1b", "value": "1"}], {"list": [1, 2]}),
    ],
)
def test_a_json_patch_is_applied(operations: list[dict[str, Any]], result: Any) -> None:
    before = json.dumps(TARGET)
    assert patch.json_patch(TARGET, operations)["spec"] == result
    assert json.dumps(TARGET) == before


@pytest.mark.parametrize(
    ("operations", "complaint"),
    [
        ([{"op": "test", "path": "/spec/list/0", "value": 9}], "operation 0: testing path /spec/list/0 failed"),
        ([{"op": "remove", "path": "/spec/none"}], "operation 0 (remove /spec/none)"),
        ([{"op": "replace", "path": "/none/deep", "value": 1}], "operation 0"),
        ([{"op": "add", "path": "/spec/list/7", "value": 1}], "operation 0"),
        ([{"op": "replace", "path": "", "value": 1}], "leaves no JSON object"),
    ],
)
def test_a_json_patch_that_does_not_fit_is_invalid(operations: Any, complaint: str) -> None:
    with pytest.raises(Invalid) as caught:
        patch.json_patch(TARGET, operations)
    assert complaint in caught.value.message


@pytest.mark.parametrize(
    "operations",
    [
        {},
        ["x"],
        [{"op": "explode", "path": "/a"}],
        [{"op": "add", "path": "/a"}],
        [{"op": "add", "path": 1, "value": 1}],
        [{"op": "add", "path": "a", "value": 1}],
        [{"op": "move", "path": "/a"}],
        [{"op": "test", "path": "", "value": {}}] * 10_001,
    ],
)
def test_a_malformed_json_patch_is_a_bad_request(operations: Any) -> None:
    with pytest.raises(BadRequest):
        patch.json_patch(TARGET, operations)


def test_copies_cannot_grow_a_document_without_bound() -> None:
    wide = [{"op": "copy", "from": "/list", "path": f"/list/{index}"} for index in range(40)]
    with pytest.raises((BadRequest, Invalid)):
        patch.json_patch({"list": ["x" * 1000]}, wide)


@pytest.mark.parametrize("change", [[], "x", None, 1])
def test_a_merge_patch_of_an_object_must_be_an_object(change: Any) -> None:
    with pytest.raises(BadRequest, match="must be a JSON object"):
        patch.apply_patch(patch.MERGE_PATCH, Pod, {}, change)


def test_an_unknown_content_type_names_those_that_are_known() -> None:
    with pytest.raises(BadRequest, match=r"application/merge-patch\+json"):
        patch.apply_patch("application/apply-patch+yaml", Pod, {}, {})
