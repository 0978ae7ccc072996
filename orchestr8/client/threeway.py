"""The patch of `apply`: from what was applied last, what is to be applied now, and what is there. Pure.

Fields that the manifest names become what it says; fields that the last manifest named and this one does not are
removed; all others, which controllers and other people wrote, stay. Lists of keyed items are compared item by item, by
the keys that the models carry. The result is a strategic merge patch, {} if there is nothing to do. Compatible with
kubectl: the same annotation, written the same way (Kubernetes, "Declarative Management ... Using Configuration Files").
"""

from __future__ import annotations

import json
from typing import Any

from orchestr8.api import kinds
from orchestr8.api.fields import Noun
from orchestr8.api.shape import Field, Shape, fields_of

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

Object = dict[str, Any]


def annotated(manifest: Object) -> Object:
    """The manifest with itself, as one line of JSON, in its annotation."""
    metadata = dict(manifest.get("metadata") or {})
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != LAST_APPLIED}
    plain = {**manifest, "metadata": {**metadata, "annotations": annotations}}
    line = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    return {**manifest, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: line}}}


def last_applied(live: Object) -> Object:
    """What was applied last, {} if the object was made some other way."""
    text = ((live.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def patch(manifest: Object, live: Object) -> Object:
    """The strategic merge patch that applies ``manifest`` to ``live``."""
    modified = annotated(manifest)
    kind = next((each for each in kinds.KINDS if each.kind == manifest.get("kind")), None)
    changes = _object(kind.cls if kind is not None else None, last_applied(live), modified, live)
    changes.pop("apiVersion", None)
    changes.pop("kind", None)
    return changes


def _object(cls: type[Noun] | None, last: Object, wanted: Object, live: Object) -> Object:
    fields = fields_of(cls) if cls is not None else {}
    changes: Object = {}
    for key, value in wanted.items():
        field = fields.get(key)
        changes.update(_value(key, field, last.get(key), value, live.get(key)))
    for key in last:
        if key not in wanted and live.get(key) is not None:
            changes[key] = None
    return changes


def _value(key: str, field: Field | None, last: Any, wanted: Any, live: Any) -> Object:
    """What the patch says about one field: nothing, the field, or the field with its directives."""
    if wanted is None:
        return {key: None} if live is not None else {}
    strategy = (field.strategy or "") if field is not None else ""
    if isinstance(wanted, dict) and isinstance(live, dict) and "replace" not in strategy:
        cls = _class_below(field.shape) if field is not None else None
        shape = field.shape if field is not None else None
        if shape is not None and shape.form == "map" and shape.item is not None and shape.item.cls is not None:
            below = _map(shape.item.cls, _dict(last), wanted, live)
        else:
            below = _object(cls, _dict(last), wanted, live)
        if below and "retainKeys" in strategy:
            below["$retainKeys"] = sorted(name for name, value in wanted.items() if value is not None)
        return {key: below} if below else {}
    if isinstance(wanted, list) and isinstance(live, list) and field is not None and "merge" in strategy:
        return _list(key, field, _items(last), wanted, live)
    return {} if wanted == live else {key: wanted}


def _map(cls: type[Noun], last: Object, wanted: Object, live: Object) -> Object:
    changes: Object = {}
    for name, value in wanted.items():
        there = live.get(name)
        if isinstance(value, dict) and isinstance(there, dict):
            below = _object(cls, _dict(last.get(name)), value, there)
            if below:
                changes[name] = below
        elif value != there:
            changes[name] = value
    changes.update({name: None for name in last if name not in wanted and name in live})
    return changes


def _list(key: str, field: Field, last: list[Any], wanted: list[Any], live: list[Any]) -> Object:
    merge_key = field.merge_key
    if merge_key is None:
        return _plain_list(key, last, wanted, live)
    by_key = [{_key(item, merge_key): item for item in items} for items in (last, wanted, live)]
    last_items, wanted_items, live_items = by_key
    if None in wanted_items or len(wanted_items) < len(wanted):
        return {} if wanted == live else {key: [{"$patch": "replace"}, *wanted]}
    cls = field.shape.item.cls if field.shape.item is not None else None
    changes: list[Any] = []
    for name, item in wanted_items.items():
        if name not in live_items:
            changes.append(item)
            continue
        below = _object(cls, _dict(last_items.get(name)), item, _dict(live_items[name]))
        if below:
            changes.append({merge_key: name, **below})
    changes += [
        {merge_key: name, "$patch": "delete"}
        for name in last_items
        if name is not None and name not in wanted_items and name in live_items
    ]
    order = [{merge_key: name} for name in wanted_items]
    in_order = [name for name in live_items if name in wanted_items] == list(wanted_items)
    if not changes and in_order:
        return {}
    return {f"$setElementOrder/{key}": order, **({key: changes} if changes else {})}


def _plain_list(key: str, last: list[Any], wanted: list[Any], live: list[Any]) -> Object:
    added = [item for item in wanted if item not in live]
    removed = [item for item in last if item not in wanted and item in live]
    changes: Object = {}
    if added:
        changes[key] = added
    if removed:
        changes[f"$deleteFromPrimitiveList/{key}"] = removed
    return changes


def _key(item: Any, merge_key: str) -> Any:
    value = item.get(merge_key) if isinstance(item, dict) else None
    return value if isinstance(value, str | int) else None


def _class_below(shape: Shape) -> type[Noun] | None:
    return shape.cls if shape.form == "object" else None


def _dict(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
