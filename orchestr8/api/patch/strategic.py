"""Strategic merge patch: like a merge patch, but lists of keyed items merge item by item.

The models say which lists merge and by which key. Directives: ``$patch`` (delete, replace), ``$retainKeys``,
``$setElementOrder/LIST``, ``$deleteFromPrimitiveList/LIST``. Source: the Kubernetes page "Update API Objects in Place
Using kubectl patch" and the community design page on strategic merge; kubectl itself is the oracle in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestr8.api.fields import Noun
from orchestr8.api.shape import Field, fields_of
from orchestr8.errors import BadRequest

_ORDER = "$setElementOrder/"
_REMOVE = "$deleteFromPrimitiveList/"


def strategic_merge_patch(cls: type[Noun] | None, target: dict[str, Any], patch: Any) -> dict[str, Any]:
    """``target``, an object of ``cls``, changed by ``patch``; neither is altered.

    ``cls`` None: nothing is known of the object, lists in it are replaced. Raises BadRequest naming the field.
    """
    if not isinstance(patch, dict):
        raise BadRequest("a strategic merge patch must be a JSON object")
    return _merge_object(cls, target, patch, "")


def _merge_object(cls: type[Noun] | None, target: dict[str, Any], patch: dict[str, Any], path: str) -> dict[str, Any]:
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: _plain(value) for key, value in patch.items() if key != "$patch" and value is not None}
    if directive == "delete":
        return {}
    if directive is not None:
        raise BadRequest(f"{path or 'patch'}: unknown $patch directive {directive!r}; use delete or replace")
    merged = _retained(target, patch, path)
    fields = fields_of(cls) if cls is not None else {}
    for key in _touched(patch):
        here = f"{path}.{key}" if path else key
        field = fields.get(key)
        value, order, removed = patch.get(key), patch.get(_ORDER + key), patch.get(_REMOVE + key)
        if key in patch and value is None and removed is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = _merge_value(field, merged.get(key), value, here)
        elif isinstance(value, list) or order is not None or removed is not None:
            merged_list = _merge_list(field, merged.get(key), value, order, removed, here)
            if merged_list is not None:
                merged[key] = merged_list
        else:
            merged[key] = value
    return merged


def _touched(patch: dict[str, Any]) -> list[str]:
    """The fields that a patch says something about, with or without a directive, in its order."""
    names: dict[str, None] = {}
    for key in patch:
        name = key.removeprefix(_ORDER).removeprefix(_REMOVE)
        if not name.startswith("$"):
            names[name] = None
    return list(names)


def _retained(target: dict[str, Any], patch: dict[str, Any], path: str) -> dict[str, Any]:
    """A copy of ``target`` without what ``$retainKeys`` leaves out (a union's other members)."""
    kept = patch.get("$retainKeys")
    if kept is None:
        return dict(target)
    if not isinstance(kept, list):
        raise BadRequest(f"{path or 'patch'}: $retainKeys must be a list of field names")
    for key, value in patch.items():
        if not key.startswith("$") and value is not None and key not in kept:
            raise BadRequest(f"{path or 'patch'}: field {key!r} is set and missing in $retainKeys")
    return {key: value for key, value in target.items() if key in kept}


def _merge_value(field: Field | None, target: Any, patch: dict[str, Any], path: str) -> Any:
    cls = field.shape.cls if field is not None and field.shape.form == "object" else None
    if not isinstance(target, dict):
        return {} if patch.get("$patch") == "delete" else _plain(patch)
    return _merge_object(cls, target, patch, path)


def _plain(value: Any) -> Any:
    """A part of a patch that meets nothing in the target: without directives, nulls and items to delete."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if not key.startswith("$") and item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value if not (isinstance(item, dict) and "$patch" in item)]
    return value


# -- lists -----------------------------------------------------------------------------------------


def _merge_list(field: Field | None, target: Any, patch: Any, order: Any, removed: Any, path: str) -> list[Any] | None:
    """The merged list; None when there was none and the patch only orders or removes."""
    for name, value in (("the list", patch), ("$setElementOrder", order), ("$deleteFromPrimitiveList", removed)):
        if value is not None and not isinstance(value, list):
            raise BadRequest(f"{path}: {name} must be a list")
    if not isinstance(target, list):
        return _plain(patch) if patch is not None else None
    strategies = (field.strategy or "").split(",") if field is not None else []
    if "merge" not in strategies:
        return _plain(patch) if patch is not None else target
    assert field is not None
    if removed is not None:
        target = [item for item in target if item not in removed]
    if field.merge_key is None:
        if not _are_scalars((*target, *(patch or ()), *(order or ()))):
            raise BadRequest(f"{path}: items must be plain values")
        merged = list(dict.fromkeys((*target, *(patch or ()))))
        return _ordered(merged, order if order is not None else patch or (), target, None)
    item_cls = field.shape.item.cls if field.shape.item is not None else None
    merged, wanted = _merge_items(item_cls, target, patch or [], field.merge_key, path)
    if order is not None:
        ordered_keys = [_key(item, field.merge_key, path) for item in order]
        _check_order(wanted, ordered_keys, path)
        # As in kubectl: with $setElementOrder, new items take the places of deleted ones, behind all that stay.
        before = target if _replaces(patch) else merged[: len(target)]
        return _ordered(merged, ordered_keys, before, field.merge_key)
    return merged if patch is None else _ordered(merged, wanted, target, field.merge_key)


def _replaces(patch: list[Any] | None) -> bool:
    return any(item.get("$patch") == "replace" for item in patch or ())


def _merge_items(
    cls: type[Noun] | None, target: list[Any], patch: list[Any], merge_key: str, path: str
) -> tuple[list[Any], list[Any]]:
    """The items that stay, merged, followed by the new ones; and the keys that the patch names, in its order."""
    merged = list(target)
    additions: list[dict[str, Any]] = []
    for index, item in enumerate(patch):
        if not isinstance(item, dict):
            raise BadRequest(f"{path}[{index}]: must be an object")
        match item.get("$patch"):
            case None:
                additions.append(item)
            case "replace":
                pass
            case "delete":
                key = _key(item, merge_key, f"{path}[{index}]")
                merged = [other for other in merged if other.get(merge_key) != key]
            case other:
                raise BadRequest(f"{path}[{index}]: unknown $patch directive {other!r}; use delete or replace")
    if _replaces(patch):
        merged = []
    positions = {item.get(merge_key): index for index, item in reversed(list(enumerate(merged)))}
    wanted = []
    for index, item in enumerate(additions):
        key = _key(item, merge_key, f"{path}[{index}]")
        wanted.append(key)
        position = positions.get(key)
        if position is None:
            positions[key] = len(merged)
            merged.append(_plain(item))
        else:
            merged[position] = _merge_object(cls, merged[position], item, f"{path}[{index}]")
    return merged, wanted


def _key(item: Any, merge_key: str, path: str) -> Any:
    key = item.get(merge_key) if isinstance(item, dict) else None
    if key is None or isinstance(key, dict | list):
        raise BadRequest(f"{path}: does not contain the list's merge key {merge_key}")
    return key


def _check_order(patched: Sequence[Any], order: Sequence[Any], path: str) -> None:
    """The patch's own items must appear in the order list, in the same order."""
    if not order:
        return
    remaining = iter(order)
    for key in patched:
        if key not in remaining:
            raise BadRequest(f"{path}: the order of the patch's items does not match $setElementOrder")


def _ordered(merged: list[Any], wanted: Sequence[Any], before: list[Any], merge_key: str | None) -> list[Any]:
    """The items named in ``wanted`` in that order; the others keep their places of ``before`` around them."""

    def key_of(item: Any) -> Any:
        return item.get(merge_key) if merge_key is not None and isinstance(item, dict) else item

    rank = {key: index for index, key in reversed(list(enumerate(wanted)))}
    place = {key_of(item): index for index, item in reversed(list(enumerate(before)))}
    named = sorted((item for item in merged if key_of(item) in rank), key=lambda item: rank[key_of(item)])
    others = [item for item in merged if key_of(item) not in rank]
    result: list[Any] = []
    while named and others:
        first, second = place.get(key_of(others[0])), place.get(key_of(named[0]))
        goes_first = first is not None and second is not None and first < second
        result.append(others.pop(0) if goes_first else named.pop(0))
    return result + named + others


def _are_scalars(items: Sequence[Any]) -> bool:
    return not any(isinstance(item, dict | list) for item in items)
