"""The one verb of this folder: set what is unset."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)


def fill(obj: S, **defaults: Any) -> S:
    """``obj`` with each named attribute set where it is None or "" (Go's absent); the same object when nothing is."""
    missing = {name: value for name, value in defaults.items() if getattr(obj, name) in (None, "")}
    return msgspec.structs.replace(obj, **missing) if missing else obj


def change(obj: S, **values: Any) -> S:
    """``obj`` with each named attribute replaced; the same object when nothing differs."""
    changed = {name: value for name, value in values.items() if getattr(obj, name) is not value}
    return msgspec.structs.replace(obj, **changed) if changed else obj
