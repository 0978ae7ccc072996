"""The models know every field that Kubernetes knows, under its exact name, and describe each."""

from __future__ import annotations

import importlib
from typing import Any

import msgspec
import pytest

from orchestr8.api import kinds
from orchestr8.api.events import EventSource
from orchestr8.api.fields import Noun
from orchestr8.api.shape import Shape, fields_of, reachable
from orchestr8.api.workloads import Scale

MODELS = reachable([*(kind.cls for kind in kinds.KINDS), *kinds.BODIES.values()])
# Spelled differently in the Python client, which puts the group in front of a name that two groups have.
CLIENT_NAMES = {
    "Event": "CoreV1Event",
    "EventSeries": "CoreV1EventSeries",
    "EndpointPort": "CoreV1EndpointPort",
    "ResourceClaim": "CoreV1ResourceClaim",
    "SliceEndpointPort": "DiscoveryV1EndpointPort",
}
CLIENT_SCALARS = {
    "string": "str",
    "integer": "int",
    "boolean": "bool",
    "time": "datetime",
    "bytes": "str",
    "quantity": "str",
    "int-or-string": "object",
}


def client_model(cls: type[Noun]) -> Any:
    models = importlib.import_module("kubernetes.client.models")
    return getattr(models, CLIENT_NAMES.get(cls.__name__, f"V1{cls.__name__}"))


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_a_model_has_the_fields_that_the_official_client_knows(cls: type[Noun]) -> None:
    official = client_model(cls)
    assert set(official.attribute_map.values()) <= set(fields_of(cls))


def spelled(official_type: str) -> str:
    """The client's notation, which differs between its releases, in one form."""
    return official_type.lower().replace("(", "[").replace(")", "]").replace("bytes", "str")


def form_of(shape: Shape) -> str:
    match shape.form:
        case "list":
            assert shape.item is not None
            return f"list[{form_of(shape.item)}]"
        case "map":
            assert shape.item is not None
            return f"dict[str, {form_of(shape.item)}]"
        case "object":
            assert shape.cls is not None
            return str(client_model(shape.cls).__name__)
        case "free":
            return "any"
    return {
        "string": "str",
        "integer": "int",
        "boolean": "bool",
        "time": "datetime",
        "bytes": "str",
        "quantity": "str",
    }.get(shape.scalar, "object")


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_a_field_has_the_type_that_the_official_client_knows(cls: type[Noun]) -> None:
    official = client_model(cls)
    for attribute, name in official.attribute_map.items():
        ours = form_of(fields_of(cls)[name].shape)
        if "any" not in ours:  # known, not modelled
            assert ours.lower() == spelled(official.openapi_types[attribute]), name


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_every_class_and_field_is_described(cls: type[Noun]) -> None:
    assert cls.__doc__
    undescribed = [name for name, field in fields_of(cls).items() if not field.description]
    assert set(undescribed) <= {"apiVersion", "kind"}


def test_a_kind_can_be_found_by_name_class_and_path() -> None:
    for kind in kinds.KINDS:
        assert kinds.by_name(kind.kind) is kind
        assert kinds.by_class(kind.cls) is kind
        assert kinds.by_resource(kind.group, kind.version, kind.plural) is kind
    assert kinds.by_resource("apps", "v1", "pods") is None


def test_required_fields_are_written_even_when_empty() -> None:
    """The Python client refuses answers without them."""
    assert msgspec.json.encode(Scale().status) == b'{"replicas":0}'
    assert msgspec.json.encode(EventSource()) == b"{}"
