"""Objects to and from JSON, YAML and plain dicts.

Two doors. ``decode`` is for what we wrote ourselves: typed decoding at full speed. ``read`` is for what others send: it
follows Kubernetes' reading of JSON (null is absent, zero values of optional fields are absent, numbers may
stand for quantities), names unknown fields, and turns type errors into BadRequest with a path such as
``spec.containers[0].ports[0].containerPort``.
"""

from __future__ import annotations

import json
import math
import re
from functools import cache
from typing import Any, cast

import msgspec

from orchestr8.api import kinds, quantity
from orchestr8.api.events import Event
from orchestr8.api.fields import Noun
from orchestr8.api.node import Lease
from orchestr8.api.shape import Field, Shape, fields_of
from orchestr8.errors import BadRequest
from orchestr8.limits import JSON_DEPTH

_encoder = msgspec.json.Encoder(order="deterministic")  # maps by key, as in Kubernetes


def encode(obj: Noun) -> bytes:
    """JSON of an object. Equal objects give equal bytes."""
    if isinstance(obj, Lease | Event):
        obj = _whole_micro_times(obj)
    return _encoder.encode(obj)


def decode(kind: str, data: bytes) -> Any:
    """The object that ``encode`` wrote. Raises NotFound (kind not served) and BadRequest."""
    try:
        return _decoder(class_of(kind)).decode(data)
    except msgspec.DecodeError as error:
        raise BadRequest(f"{kind}: {error}") from error


def to_builtins(obj: Noun) -> dict[str, Any]:
    """The object as the plain dict that its JSON would load to; the caller may change it."""
    value = msgspec.json.decode(encode(obj))
    assert isinstance(value, dict)
    return value


def from_builtins(kind: str, value: dict[str, Any]) -> Any:
    """The object that a plain dict says; unknown fields are left out. Raises BadRequest with the field's path."""
    return read(kind, value)[0]


def read(kind: str, value: dict[str, Any]) -> tuple[Any, list[str]]:
    """The object that foreign JSON says and the paths of the fields that its kind does not have.

    Raises NotFound (kind not served) and BadRequest (another kind's body, or a field of the wrong type).
    """
    cls = class_of(kind)
    if not isinstance(value, dict):
        raise BadRequest(f"{kind}: expected an object, got {_word(type(value).__name__)}")
    _check_kind(kind, cls, value)
    unknown: list[str] = []
    cleaned = _clean_object(cls, value, "", unknown)
    try:
        return msgspec.convert(cleaned, cls), unknown
    except msgspec.ValidationError as error:
        raise BadRequest(f"{kind}: {_explain(cls, cleaned, str(error))}") from error


def unknown_fields(kind: str, value: dict[str, Any]) -> list[str]:
    """The paths in ``value`` that ``kind`` does not have, such as ``spec.template.spec.containers[0].imagee``."""
    unknown: list[str] = []
    _clean_object(class_of(kind), value, "", unknown)
    return unknown


def class_of(kind: str) -> type[Noun]:
    """The model of a kind or of a subresource's body. Raises NotFound."""
    return kinds.BODIES[kind] if kind in kinds.BODIES else kinds.by_name(kind).cls


def load_json(data: bytes) -> tuple[Any, list[str]]:
    """The value of a JSON text and the paths of keys that it gives twice (the last one counts, as in Kubernetes).

    Raises BadRequest for what is no JSON, is nested deeper than ``JSON_DEPTH``, or holds NaN or infinities.
    """
    try:
        text = data.decode()
        value = json.loads(text, object_pairs_hook=_pairs, parse_constant=_refuse_constant, parse_float=_finite_float)
        if "\\u" in text:
            _encoder.encode(value)  # half a surrogate pair cannot be written again
    except UnicodeError as error:
        raise BadRequest(f"the body is not valid UTF-8 text: {error}") from error
    except RecursionError as error:
        raise BadRequest(f"the body is nested deeper than {JSON_DEPTH} levels") from error
    except ValueError as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from error
    duplicates: list[str] = []
    _inspect(value, "", 1, duplicates)
    return value, duplicates


def check_depth(value: Any) -> None:
    """Raises BadRequest for a value nested deeper than ``JSON_DEPTH``."""
    _inspect(value, "", 1, [])


# -- reading as Kubernetes does --------------------------------------------------------------------


def _check_kind(kind: str, cls: type[Noun], value: dict[str, Any]) -> None:
    if kind == "DeleteOptions":  # clients send it under the group of what they delete
        return
    expected = cls()
    for name, attribute in (("kind", "kind"), ("apiVersion", "api_version")):
        given, wanted = value.get(name), getattr(expected, attribute)
        if given and given != wanted:
            raise BadRequest(f"{name}: the body says {str(given)[:100]!r}, expected {wanted!r}")


def _clean_object(cls: type[Noun], value: dict[str, Any], path: str, unknown: list[str]) -> dict[str, Any]:
    fields = fields_of(cls)
    cleaned: dict[str, Any] = {}
    for name, item in value.items():
        field = fields.get(name)
        here = f"{path}.{name}" if path else str(name)
        if field is None:
            unknown.append(here)
        elif item is not None and not _is_absent(field, item):
            cleaned[name] = _clean(field.shape, item, here, unknown)
    return cleaned


def _clean(shape: Shape, value: Any, path: str, unknown: list[str]) -> Any:
    """``value`` tidied along ``shape``; what has the wrong type is left for the typed conversion to refuse."""
    if shape.form == "object" and isinstance(value, dict):
        assert shape.cls is not None
        return _clean_object(shape.cls, value, path, unknown)
    if shape.form == "list" and isinstance(value, list | tuple):
        assert shape.item is not None
        if shape.item.form == "scalar" and shape.item.scalar == "string":
            return value
        return [_clean(shape.item, item, f"{path}[{index}]", unknown) for index, item in enumerate(value)]
    if shape.form == "map" and isinstance(value, dict):
        item_shape = shape.item
        assert item_shape is not None
        nothing = "" if item_shape.form == "scalar" else None
        return {
            key: _clean(item_shape, nothing if item is None else item, f"{path}.{key}", unknown)
            for key, item in value.items()
        }
    if shape.form == "scalar" and shape.scalar == "quantity":
        return _quantity_text(value)
    return value


def _is_absent(field: Field, value: Any) -> bool:
    if field.required or field.zero_matters or field.shape.form != "scalar":
        return False
    match field.shape.scalar:
        case "string":
            return isinstance(value, str) and not value
        case "boolean":
            return value is False
        case "integer":
            return type(value) is int and value == 0
    return False


def _quantity_text(value: Any) -> Any:
    """Numbers are quantities too; what is no quantity stays as it is, for validation to name."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        value = str(value)
    if isinstance(value, str) and quantity.is_valid(value):
        return quantity.canonical(value)
    return value


# -- type errors -----------------------------------------------------------------------------------

_WORDS = {
    "int": "integer",
    "str": "string",
    "bool": "boolean",
    "float": "number",
    "array": "list",
    "list": "list",
    "dict": "object",
    "NoneType": "null",
}
_SCALAR_TYPES: dict[str, Any] = {"bytes": bytes, "integer": int, "boolean": bool, "number": float}


def _word(name: str) -> str:
    return _WORDS.get(name, name)


def _explain(cls: type[Noun], value: dict[str, Any], message: str) -> str:
    """``Expected `int`, got `str` - at `$.spec.replicas``` -> ``spec.replicas: expected integer, got string``."""
    found = re.fullmatch(r"(.*?)(?: - at `(?:key in )?\$\.?(.*?)`)?", message, re.DOTALL)
    assert found is not None
    complaint = re.sub(
        r"`([^`]*)`",
        lambda quoted: " or ".join(_word(part) for part in quoted[1].removesuffix(" | null").split(" | ")),
        found[1],
    )
    complaint = complaint[:1].lower() + complaint[1:]
    path = found[2]
    if not path:
        return complaint
    if path.endswith("[...]"):
        path = _name_key(cls, value, path.removesuffix("[...]"))
    return f"{path}: {complaint}"


def _name_key(cls: type[Noun], value: Any, path: str) -> str:
    """``metadata.labels`` -> ``metadata.labels.tier`` when tier is the entry with the wrong type."""
    shape = Shape(form="object", cls=cls)
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        if name and shape.cls is not None:
            shape, value = fields_of(shape.cls)[name].shape, value[name]
        elif shape.item is not None:
            shape, value = shape.item, value[int(index)]
    wanted = _SCALAR_TYPES.get(shape.item.scalar, str) if shape.item is not None else str
    for key, item in value.items():
        try:
            msgspec.convert(item, wanted)
        except msgspec.ValidationError:
            return f"{path}.{key}"
    return path


# -- JSON text -------------------------------------------------------------------------------------


class _Repeated(dict[str, Any]):
    """An object of JSON text that names some keys more than once."""

    keys_twice: list[str]


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    repeated = _Repeated(value)
    seen: set[str] = set()
    repeated.keys_twice = sorted({key for key, _ in pairs if key in seen or seen.add(key)})  # type: ignore[func-returns-value]
    return repeated


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large for a number")
    return value


def _inspect(value: Any, path: str, depth: int, duplicates: list[str]) -> None:
    if depth > JSON_DEPTH + 1:
        raise BadRequest(f"{path[:200]}: nested deeper than {JSON_DEPTH} levels")
    if isinstance(value, dict):
        if isinstance(value, _Repeated):
            duplicates += [f"{path}.{key}" if path else key for key in value.keys_twice]
        for key, item in value.items():
            if isinstance(item, dict | list):
                _inspect(item, f"{path}.{key}" if path else key, depth + 1, duplicates)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict | list):
                _inspect(item, f"{path}[{index}]", depth + 1, duplicates)


@cache
def _decoder(cls: type[Noun]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cls)


def _whole_micro_times(obj: Lease | Event) -> Lease | Event:
    """Go's clients insist on the six digits of a MicroTime; a fraction of zero would lose them."""
    holder: Noun = obj.spec if isinstance(obj, Lease) else obj
    changes = {
        field.attribute: moment.replace(microsecond=1)
        for field in fields_of(type(holder)).values()
        if field.shape.micro and (moment := getattr(holder, field.attribute)) is not None and moment.microsecond == 0
    }
    if not changes:
        return obj
    changed = msgspec.structs.replace(holder, **changes)
    return msgspec.structs.replace(obj, spec=changed) if isinstance(obj, Lease) else cast(Event, changed)
