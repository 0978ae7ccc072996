"""Bodies: what is read, and what is refused before it can hurt."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr8 import limits
from orchestr8.errors import BadRequest
from orchestr8.master.apiserver.formats import protobuf
from orchestr8.master.apiserver.formats.yaml_body import load_yaml
from orchestr8.master.apiserver.messages import Query, Refusal
from tests.unit.master.apiserver.samples import CONFIG_MAPS, config_map
from tests.unit.master.apiserver.stand_in import Api

YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"metadata":{"name":"\\ud800"}}',
        b'{"metadata":{"name":NaN}}',
        b'{"metadata":{"name":1e999}}',
        b'{"data":' * 100 + b"1" + b"}" * 100,
        b"[" * 100_000,
        b'{"kind":"Secret","apiVersion":"v1","metadata":{"name":"c"}}',
        b'{"kind":"ConfigMap","apiVersion":"v2","metadata":{"name":"c"}}',
        b'{"metadata":{"name":' + b"1" * 5000 + b"}}",
    ],
)
async def test_json_that_is_no_config_map_is_a_bad_request_and_changes_nothing(api: Api, body: bytes) -> None:
    before = api.store.revision
    answer = await api.call("POST", CONFIG_MAPS, body)
    assert answer.status == 400 and answer.value["reason"] == "BadRequest"
    assert api.store.revision == before


async def test_kind_and_version_may_be_left_out(api: Api) -> None:
    assert (await api.made("POST", CONFIG_MAPS, {"metadata": {"name": "c"}}))["kind"] == "ConfigMap"


async def test_a_long_body_is_read_in_a_thread_to_the_same_end(api: Api) -> None:
    made = await api.made("POST", CONFIG_MAPS, config_map(a="x" * 500_000))
    assert len(made["data"]["a"]) == 500_000


async def test_yaml_is_read(api: Api) -> None:
    text = b"kind: ConfigMap\nmetadata: {name: c}\ndata:\n  a: '1'\n  day: '2024-01-31'\n"
    assert (await api.made("POST", CONFIG_MAPS, text, content_type=YAML))["data"] == {"a": "1", "day": "2024-01-31"}


async def test_other_formats_are_told_what_is_read(api: Api) -> None:
    answer = await api.call("POST", CONFIG_MAPS, b"x", content_type="application/cbor")
    assert answer.status == 415 and "application/json" in answer.value["message"]


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1]\nb: *x\n",
        "a: 1\na: 2\n",
        "? [a]\n: 1\n",
        "1: a\n",
        "a: !!binary aGk=\n",
        "a: !!python/object:os.system {}\n",
        "a: .nan\n",
        "a: [\n",
        "a: 1\n---\nb: 2\n",
        "a: \x01\n",
        "[" * 40 + "]" * 40,
        "- 1\n" * (limits.YAML_NODES + 1),
    ],
)
def test_yaml_that_is_more_than_json_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        load_yaml(text.encode())


def test_yaml_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(Refusal) as refused:
        load_yaml(b"a: " + b"x" * limits.YAML_BYTES)
    assert refused.value.status == 413


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_yaml_that_is_json_or_refused(text: str) -> None:
    try:
        value = load_yaml(text.encode())
    except BadRequest:
        return
    json.dumps(value, allow_nan=False)


def test_a_date_in_yaml_stays_a_text() -> None:
    assert load_yaml(b"a: 2024-01-31\nb: 2024-01-31T10:00:00Z\n") == {"a": "2024-01-31", "b": "2024-01-31T10:00:00Z"}


# -- protobuf -----------------------------------------------------------------------------------------------


def _field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3]) + _varint(value)
    return bytes([number << 3 | 2]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _enveloped(kind: str, raw: bytes, group: str = "v1") -> bytes:
    return b"k8s\0" + _field(1, _field(1, group.encode()) + _field(2, kind.encode())) + _field(2, raw)


def test_the_options_of_a_delete_are_read_from_protobuf() -> None:
    raw = _field(1, 7) + _field(2, _field(1, b"uid-1")) + _field(3, 1) + _field(4, b"Orphan") + _field(5, b"All")
    assert protobuf.decode(_enveloped("DeleteOptions", raw + _field(15, b"later"))) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 7,
        "preconditions": {"uid": "uid-1"},
        "orphanDependents": True,
        "propagationPolicy": "Orphan",
        "dryRun": ["All"],
    }


async def test_a_delete_with_protobuf_options_works(api: Api) -> None:
    await api.made("POST", CONFIG_MAPS, config_map())
    raw = _enveloped("DeleteOptions", _field(4, b"Background"))
    assert (await api.call("DELETE", f"{CONFIG_MAPS}/c", raw, content_type=PROTOBUF)).status == 200


async def test_other_kinds_in_protobuf_are_told_to_come_as_json(api: Api) -> None:
    answer = await api.call("POST", CONFIG_MAPS, _enveloped("ConfigMap", b""), content_type=PROTOBUF)
    assert answer.status == 415 and "ConfigMap cannot be sent as protobuf yet" in answer.value["message"]


@given(st.binary(max_size=120))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_protobuf_or_refused(data: bytes) -> None:
    for body in (data, b"k8s\0" + data, _enveloped("DeleteOptions", data), _enveloped("SelfSubjectAccessReview", data)):
        with contextlib.suppress(BadRequest, Refusal):
            protobuf.decode(body)


# -- the query ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"), [("", False), ("watch", True), ("watch=1", True), ("watch=True", True), ("watch=false", False)]
)
def test_flags(text: str, wanted: bool) -> None:
    assert Query.parse(text).flag("watch") is wanted


@pytest.mark.parametrize("text", ["a=%ff", "&".join(f"a{index}=1" for index in range(300))])
def test_a_query_that_cannot_be_read_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest):
        Query.parse(text)
