"""Objects survive the codec, and foreign JSON is read as Kubernetes reads it or refused by the field's path."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr8.api import codec, kinds
from orchestr8.api.events import Event
from orchestr8.api.fields import Noun
from orchestr8.api.meta import ObjectMeta
from orchestr8.api.node import Lease, LeaseSpec
from orchestr8.api.shape import Shape, fields_of
from orchestr8.errors import BadRequest, NotFound
from orchestr8.limits import JSON_DEPTH

texts = st.text(st.characters(codec="utf-8"), max_size=8)
moments = st.datetimes(min_value=dt.datetime(1970, 1, 2), max_value=dt.datetime(2200, 1, 1), timezones=st.just(dt.UTC))
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": texts,
    "integer": st.integers(-(2**31), 2**31 - 1),
    "boolean": st.booleans(),
    "time": moments,
    "bytes": st.binary(max_size=8),
    "quantity": st.sampled_from(["0", "1", "500m", "64Mi"]),
    "int-or-string": st.one_of(st.integers(0, 100), texts),
}


def values(shape: Shape, depth: int) -> st.SearchStrategy[Any]:
    match shape.form:
        case "object":
            assert shape.cls is not None
            return nouns(shape.cls, depth - 1)
        case "list":
            assert shape.item is not None
            return st.lists(values(shape.item, depth), max_size=2 if depth > 0 else 0).map(tuple)
        case "map":
            assert shape.item is not None
            return st.dictionaries(texts, values(shape.item, depth), max_size=2)
        case "free":
            return st.dictionaries(texts, st.one_of(texts, st.integers(-9, 9), st.booleans()), max_size=2)
    return SCALARS[shape.scalar]


def nouns(cls: type[Noun], depth: int) -> st.SearchStrategy[Any]:
    """Objects of a model with some of their fields set, down to a depth."""
    if depth <= 0:
        return st.just(cls())

    @st.composite
    def build(draw: st.DrawFn) -> Any:
        fields = [field for field in fields_of(cls).values() if field.name not in ("apiVersion", "kind")]
        chosen = draw(st.lists(st.sampled_from(fields), max_size=5, unique_by=lambda field: field.name))
        return cls(**{field.attribute: draw(values(field.shape, depth)) for field in chosen})

    return build()


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(kinds.KINDS).flatmap(lambda kind: nouns(kind.cls, 5)))
def test_every_object_reads_back_as_it_was_written(obj: Any) -> None:
    data = codec.encode(obj)
    again = codec.decode(obj.kind, data)
    assert codec.encode(again) == data
    if not isinstance(obj, Lease | Event):  # whose times may be moved by a microsecond
        assert again == obj
    assert codec.to_builtins(obj) == json.loads(data)


def test_equal_objects_give_equal_bytes() -> None:
    first, second = ObjectMeta(labels={"a": "1", "b": "2"}), ObjectMeta(labels={"b": "2", "a": "1"})
    assert first == second
    assert codec.encode(first) == codec.encode(second)


def is_within(small: Any, large: Any) -> bool:
    if isinstance(small, dict):
        return isinstance(large, dict) and all(key in large and is_within(small[key], large[key]) for key in small)
    return bool(small == large) or isinstance(small, list)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(kinds.KINDS).flatmap(lambda kind: nouns(kind.cls, 4)))
def test_reading_invents_nothing_and_is_stable(obj: Any) -> None:
    value = codec.to_builtins(obj)
    read, unknown = codec.read(obj.kind, value)
    assert unknown == []
    assert is_within(codec.to_builtins(read), value)
    assert codec.read(obj.kind, codec.to_builtins(read))[0] == read


def test_an_object_names_its_kind_and_version_in_json() -> None:
    for kind in kinds.KINDS:
        value = codec.to_builtins(kind.cls())
        assert (value["kind"], value["apiVersion"]) == (kind.kind, kind.api_version)


def test_null_and_zero_of_an_optional_field_are_absent() -> None:
    value = {
        "metadata": {"creationTimestamp": None, "name": "a", "labels": {"x": None}},
        "spec": {
            "nodeName": "",
            "hostNetwork": False,
            "containers": [{"name": "c", "env": None, "ports": [{"containerPort": 80, "hostPort": 0}]}],
            "terminationGracePeriodSeconds": 0,
        },
        "status": None,
    }
    pod = codec.from_builtins("Pod", value)
    assert pod.spec.node_name is None
    assert pod.spec.host_network is None
    assert pod.spec.termination_grace_period_seconds == 0  # here 0 is not the same as absent
    assert pod.spec.containers[0].ports[0].host_port is None
    assert pod.metadata.labels == {"x": ""}


def test_numbers_stand_for_quantities_and_are_spelled_as_kubernetes_does() -> None:
    value = {"spec": {"containers": [{"resources": {"limits": {"cpu": 0.5, "memory": 2048, "x": "1024Mi"}}}]}}
    pod = codec.from_builtins("Pod", value)
    assert pod.spec.containers[0].resources.limits == {"cpu": "500m", "memory": "2048", "x": "1Gi"}


@pytest.mark.parametrize(
    ("kind", "value", "complaint"),
    [
        (
            "Deployment",
            {"spec": {"template": {"spec": {"containers": [{"ports": [{"containerPort": "80"}]}]}}}},
            "Deployment: spec.template.spec.containers[0].ports[0].containerPort: expected integer, got string",
        ),
        ("Pod", {"metadata": {"labels": {"a": "b", "c": 1}}}, "metadata.labels.c: expected string, got integer"),
        ("Pod", {"metadata": []}, "metadata: expected object, got list"),
        ("Pod", {"spec": {"containers": {}}}, "spec.containers: expected list, got object"),
        ("Pod", {"spec": {"priority": 2**40}}, "spec.priority: expected integer <= 2147483647"),
        ("Pod", {"spec": {"hostNetwork": 0}}, "spec.hostNetwork: expected boolean, got integer"),
        ("Secret", {"data": {"a": "eA==", "b": "?"}}, "data.b: invalid base64 encoded string"),
        ("Pod", {"metadata": {"creationTimestamp": "yesterday"}}, "metadata.creationTimestamp: invalid RFC3339"),
        ("Pod", {"kind": "Node"}, "kind: the body says 'Node', expected 'Pod'"),
        ("Pod", {"apiVersion": "v2"}, "apiVersion: the body says 'v2', expected 'v1'"),
        ("Pod", [], "expected an object, got list"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_its_path(kind: str, value: Any, complaint: str) -> None:
    with pytest.raises(BadRequest) as caught:
        codec.read(kind, value)
    assert complaint in caught.value.message


def test_unknown_fields_are_named_wherever_they_are() -> None:
    value = {
        "metdata": {},
        "metadata": {"labels": {"anything": "goes"}, "annotation": {}},
        "spec": {"replicass": 1, "template": {"spec": {"containers": [{}, {"ports": [{"port": 80}], "imagee": "x"}]}}},
    }
    assert codec.unknown_fields("Deployment", value) == [
        "metdata",
        "metadata.annotation",
        "spec.replicass",
        "spec.template.spec.containers[1].ports[0].port",
        "spec.template.spec.containers[1].imagee",
    ]


def test_a_kind_that_is_not_served_is_not_found() -> None:
    with pytest.raises(NotFound, match="no kind 'Gadget'"):
        codec.read("Gadget", {})


def test_a_micro_time_always_has_its_six_digits() -> None:
    moment = dt.datetime(2024, 5, 1, 12, 0, 0, tzinfo=dt.UTC)
    lease = Lease(metadata=ObjectMeta(name="a", creation_timestamp=moment), spec=LeaseSpec(renew_time=moment))
    value = codec.to_builtins(lease)
    assert value["spec"]["renewTime"] == "2024-05-01T12:00:00.000001Z"
    assert value["metadata"]["creationTimestamp"] == "2024-05-01T12:00:00Z"


def test_keys_given_twice_are_named_and_the_last_one_counts() -> None:
    value, twice = codec.load_json(b'{"a": 1, "b": [{"c": 1, "c": 2, "c": 3}], "a": {"d": 1, "d": 2}}')
    assert value == {"a": {"d": 2}, "b": [{"c": 3}]}
    assert sorted(twice) == ["a", "a.d", "b[0].c"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"NaN",
        b'{"a": Infinity}',
        b"1e999",
        b"\xff\xfe",
        b'{"a": "\\ud800"}',
        b'{"a": 1} x',
        b"9" * 5000,
        b"[" * 100_000,
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b"[" * (JSON_DEPTH + 2) + b"]" * (JSON_DEPTH + 2),
    ],
)
def test_what_is_no_json_or_too_deep_is_a_bad_request(data: bytes) -> None:
    with pytest.raises(BadRequest):
        codec.load_json(data)


def test_the_deepest_allowed_nesting_is_read() -> None:
    codec.load_json(b"[" * JSON_DEPTH + b"]" * JSON_DEPTH)


@given(st.binary(max_size=40))
def test_no_bytes_make_the_reader_fail_otherwise(data: bytes) -> None:
    try:
        value, _ = codec.load_json(data)
    except BadRequest:
        return
    msgspec.json.encode(value)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["Pod", "Service", "Deployment", "Node"]), st.data())
def test_any_json_is_an_object_or_a_bad_request(kind: str, data: st.DataObject) -> None:
    cls = kinds.by_name(kind).cls
    names = st.sampled_from(list(fields_of(cls)) + list(fields_of(type(cls().spec))))
    value = data.draw(
        st.dictionaries(st.one_of(names, texts), st.one_of(json_values, st.dictionaries(names, json_values)))
    )
    try:
        obj, _ = codec.read(kind, value)
    except BadRequest:
        return
    assert codec.decode(kind, codec.encode(obj)) == obj
