import contextlib
import struct

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8 import limits
from orchestr8.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from orchestr8.rpc.frame import FrameDecoder, encode

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


@given(st.lists(values, max_size=5), st.data())
def test_values_arrive_whole_however_the_bytes_are_cut(sent, data):
    wire = b"".join(encode(value) for value in sent)
    decoder = FrameDecoder()
    got = []
    while wire:
        size = data.draw(st.integers(1, len(wire)))
        got += [value for value, _ in decoder.feed(wire[:size])]
        wire = wire[size:]
    assert got == sent
    assert not decoder.inside_frame


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_remote_protocol_error(data):
    decoder = FrameDecoder(200)
    with contextlib.suppress(RemoteProtocolError):
        decoder.feed(data)


@given(st.binary(max_size=100))
def test_no_body_raises_anything_but_a_remote_protocol_error(body):
    with contextlib.suppress(RemoteProtocolError):
        FrameDecoder().feed(framed(body))


def test_a_length_above_the_limit_is_refused_before_its_body():
    with pytest.raises(RemoteProtocolError, match="4294967295 bytes was announced"):
        FrameDecoder().feed(b"\xff\xff\xff\xff")


def test_a_frame_at_the_limit_passes():
    value = bytes(98)  # two bytes of head make 100
    assert FrameDecoder(100).feed(encode(value, 100)) == [(value, 104)]


def nested(depth: int):
    value: list = []
    for _ in range(depth - 1):
        value = [value]
    return value


BOMBS = {
    "array announced longer than its frame": b"\xdd\xff\xff\xff\xff",
    "map announced longer than its frame": b"\xdf\xff\xff\xff\xff",
    "text announced longer than its frame": b"\xdb\xff\xff\xff\xff",
    "nested arrays that each announce many items": b"\xdc\xff\xff" * 1000,
    "nested too deep": b"\x91" * 100_000 + b"\x90",
    "nested just too deep": msgpack.packb(nested(limits.RPC_MAX_DEPTH + 1)),
    "more maps in one frame than allowed": msgpack.packb([[{}] * 60_000, [{}] * 60_000]),
    "array with too many items": msgpack.packb([None] * (limits.RPC_MAX_ARRAY_ITEMS + 1)),
    "map with too many keys": msgpack.packb({str(n): None for n in range(limits.RPC_MAX_MAP_ITEMS + 1)}),
    "extension type": msgpack.packb(msgpack.ExtType(5, b"abcd")),
    "empty extension type": b"\xc7\x00\x05",
    "timestamp": msgpack.packb(msgpack.Timestamp(1, 0)),
    "number as key": msgpack.packb({1: 2}),
    "text that is not UTF-8": b"\xa2\xff\xfe",
    "garbage after the value": b"\xc0\xc0",
    "never used byte": b"\xc1",
    "nothing": b"",
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS.keys())
def test_a_hostile_body_is_refused(body):
    with pytest.raises(RemoteProtocolError, match=r"[^:]$|: \S"):  # a colon has a reason behind it
        FrameDecoder().feed(framed(body))


def test_a_value_nested_as_deep_as_allowed_passes():
    value = nested(limits.RPC_MAX_DEPTH)
    assert FrameDecoder().feed(encode(value))[0][0] == value


@pytest.mark.parametrize("value", [nested(limits.RPC_MAX_DEPTH + 1), object(), 2**65, {"a": {1, 2}}])
def test_a_value_that_no_frame_carries_is_our_own_fault(value):
    with pytest.raises(LocalProtocolError):
        encode(value)


def test_encoding_goes_on_after_a_failure():
    with pytest.raises(LocalProtocolError):
        encode([1, object()])
    assert FrameDecoder().feed(encode([1]))[0][0] == [1]


def test_a_value_longer_than_a_frame_is_refused_with_its_size():
    with pytest.raises(LimitExceeded, match="105 bytes is more than a frame holds"):
        encode(bytes(103), 100)
