"""Frames: a 4-byte big-endian length, then one msgpack value. Pure: bytes in, values out.

The length is checked before the body is read, so a frame that is too long costs four bytes of memory. A body may not
hold more than its share of containers: msgpack turns one byte into an empty map of 64 bytes, which would let a 4 MiB
frame take 200 MB. Extension types are refused; a value is None, bool, int, float, str, bytes, list or a map with
str or bytes keys. Source of the bounds: limits.py.
"""

from __future__ import annotations

import struct
from typing import Any

import msgpack

from orchestr8 import limits
from orchestr8.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError

_LENGTH = struct.Struct(">I")
# Below this size the containers that fit into a frame are few enough not to be counted.
_UNCOUNTED_BYTES = 64 * limits.KIB

_packer = msgpack.Packer(use_bin_type=True)


def encode(value: Any, frame_bytes: int = limits.RPC_FRAME_BYTES) -> bytes:
    """One frame. Raises LimitExceeded if it is too long, LocalProtocolError if msgpack cannot carry ``value``."""
    try:
        body: bytes = _packer.pack(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise LocalProtocolError(f"this value cannot be sent: {error}") from error
    if len(body) > frame_bytes:
        raise LimitExceeded(
            f"a message of {len(body)} bytes is more than a frame holds ({frame_bytes}): send it in pieces"
        )
    if _too_deep(value):
        raise LocalProtocolError(f"this value is nested deeper than {limits.RPC_MAX_DEPTH} levels")
    return _LENGTH.pack(len(body)) + body


class FrameDecoder:
    """Cuts a byte stream into values. After an error it must not be used again: the stream is out of step."""

    def __init__(self, frame_bytes: int = limits.RPC_FRAME_BYTES) -> None:
        self._frame_bytes = frame_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes | bytearray) -> list[tuple[Any, int]]:
        """The values that ``data`` completes, each with the bytes its frame took. Raises RemoteProtocolError."""
        self._buffer += data
        found: list[tuple[Any, int]] = []
        start, end = 0, len(self._buffer)
        with memoryview(self._buffer) as view:
            while end - start >= _LENGTH.size:
                (size,) = _LENGTH.unpack_from(view, start)
                if size > self._frame_bytes:
                    raise RemoteProtocolError(
                        f"a frame of {size} bytes was announced, the limit is {self._frame_bytes}"
                    )
                body = start + _LENGTH.size
                if end - body < size:
                    break
                with view[body : body + size] as part:
                    found.append((_decode(part), _LENGTH.size + size))
                start = body + size
        if start:
            del self._buffer[:start]
        return found

    @property
    def inside_frame(self) -> bool:
        """The stream must not end here: a frame has begun."""
        return bool(self._buffer)


def _decode(body: memoryview) -> Any:
    size = len(body)
    hook = _ContainerCount(limits.RPC_MAX_ARRAY_ITEMS).seen if size > _UNCOUNTED_BYTES else None
    try:
        value = msgpack.unpackb(
            body,
            raw=False,
            strict_map_key=True,
            # A container of n items takes at least n bytes: a short frame cannot make us allocate for a long one.
            max_array_len=min(limits.RPC_MAX_ARRAY_ITEMS, size),
            max_map_len=min(limits.RPC_MAX_MAP_ITEMS, size),
            max_ext_len=0,
            ext_hook=_refuse_extension,
            list_hook=hook,
            object_hook=hook,
        )
    except (ValueError, TypeError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise RemoteProtocolError(
            f"a frame does not hold one valid msgpack value: {str(error) or type(error).__name__}"
        ) from error
    if _too_deep(value):
        raise RemoteProtocolError(f"a frame is nested deeper than {limits.RPC_MAX_DEPTH} levels")
    return value


class _ContainerCount:
    def __init__(self, most: int) -> None:
        self._left = most

    def seen(self, container: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"more than {limits.RPC_MAX_ARRAY_ITEMS} lists and maps in one frame")
        return container


def _refuse_extension(code: int, data: bytes) -> Any:
    raise ValueError(f"extension type {code} is not allowed")


def _too_deep(value: Any) -> bool:
    """Whether containers are nested more than RPC_MAX_DEPTH deep. Walks level by level, without recursion."""
    level = [value]
    for _ in range(limits.RPC_MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is dict:
                below += [child for child in item.values() if type(child) in _CONTAINERS]
            elif kind is list or kind is tuple:
                below += [child for child in item if type(child) in _CONTAINERS]
        if not below:
            return False
        level = below
    return True


_CONTAINERS = frozenset((dict, list, tuple))
