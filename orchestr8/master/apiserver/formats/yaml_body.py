"""YAML bodies, small ones: parsed by libyaml, its events counted first, no aliases, no duplicate keys, no dates.

An alias can make a few bytes unfold into gigabytes, nesting can exhaust the stack, a YAML 1.1 date has no JSON form:
none of them has a use in a manifest that a client sends to a server.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from orchestr8 import limits
from orchestr8.errors import BadRequest
from orchestr8.master.apiserver.messages import Refusal


def load_yaml(body: bytes) -> Any:
    """The value of one YAML document. Raises BadRequest with the line, and Refusal 413 for a long one."""
    if len(body) > limits.YAML_BYTES:
        raise Refusal(
            413,
            "RequestEntityTooLarge",
            f"a YAML body may have {limits.YAML_BYTES} bytes, this one has {len(body)}: send JSON",
        )
    try:
        text = body.decode()
        _count(text)
        value = yaml.load(text, Loader=_Loader)
        json.dumps(value, allow_nan=False)
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not valid UTF-8 text: {error}") from error
    except yaml.YAMLError as error:
        raise BadRequest(f"the body is not valid YAML: {' '.join(str(error).split())}") from error
    except (ValueError, TypeError) as error:
        raise BadRequest(f"the body holds what JSON cannot say: {error}") from error
    return value


class _Loader(yaml.CSafeLoader):
    """Plain JSON values only; a key twice in one mapping is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a string", key_node.start_mark)
            if key in mapping:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            mapping[key] = self.construct_object(value_node, deep=True)
        return mapping


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge")
    ]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _count(text: str) -> None:
    depth = nodes = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise BadRequest(f"line {_line(event)}: aliases are not accepted")
        if isinstance(event, yaml.NodeEvent):
            nodes += 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > limits.JSON_DEPTH:
            raise BadRequest(f"line {_line(event)}: nested deeper than {limits.JSON_DEPTH} levels")
        if nodes > limits.YAML_NODES:
            raise BadRequest(f"line {_line(event)}: more than {limits.YAML_NODES} values")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0
