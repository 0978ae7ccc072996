"""Bodies of requests as plain values, whatever format they came in: JSON, a little YAML, a very little protobuf.

JSON is read by ``api.codec`` with its limits; long bodies in a thread, so that one client's megabytes do not hold up
everybody's heartbeat. YAML is only taken when small: clients turn it into JSON themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import trio

from orchestr8 import limits
from orchestr8.api import codec
from orchestr8.errors import BadRequest
from orchestr8.master.apiserver.formats import protobuf
from orchestr8.master.apiserver.formats.yaml_body import load_yaml
from orchestr8.master.apiserver.messages import Refusal, Request

JSON = "application/json"
YAML = "application/yaml"

_IN_THREAD_BYTES = 64 * limits.KIB
_PARSERS_AT_ONCE = trio.CapacityLimiter(2)


@dataclass(frozen=True, slots=True)
class Body:
    """``value``: what the text says; ``duplicates``: paths of keys that it gives twice."""

    value: Any
    duplicates: tuple[str, ...] = ()


def media_type(header: str) -> str:
    """``application/json; charset=utf-8`` -> ``application/json``."""
    return header.partition(";")[0].strip().lower()


async def read_object(request: Request) -> dict[str, Any]:
    """As ``read``, for a body that must be an object and whose duplicate keys do not matter."""
    return as_object((await read(request)).value)


async def read(request: Request) -> Body:
    """The body of a create, update or delete. Raises BadRequest, or Refusal 415 for a format not read here."""
    match media_type(request.headers.get("content-type", JSON)):
        case "application/json" | "":
            return await read_json(request.body)
        case "application/yaml" | "application/x-yaml" | "text/yaml":
            return Body(await trio.to_thread.run_sync(load_yaml, request.body, limiter=_PARSERS_AT_ONCE))
        case "application/vnd.kubernetes.protobuf":
            return Body(protobuf.decode(request.body))
        case other:
            raise Refusal(
                415,
                "UnsupportedMediaType",
                f"the body of the request was in an unknown format ({other[:80]}): "
                f"accepted media types include: {JSON}, {YAML}",
            )


async def read_json(body: bytes) -> Body:
    if len(body) > _IN_THREAD_BYTES:
        return await trio.to_thread.run_sync(_load_json, body, limiter=_PARSERS_AT_ONCE)
    return _load_json(body)


def as_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadRequest("the body must be an object")
    return value


def _load_json(body: bytes) -> Body:
    value, duplicates = codec.load_json(body)
    return Body(value, tuple(duplicates))
