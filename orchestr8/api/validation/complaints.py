"""A collector of complaints about one object, worded and classed as Kubernetes does.

A path is plain text, as users write it: ``spec.containers[0].image``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from orchestr8.errors import Cause


class Complaints:
    def __init__(self) -> None:
        self._causes: list[Cause] = []

    @property
    def causes(self) -> tuple[Cause, ...]:
        return tuple(self._causes)

    def required(self, path: str, what: str = "") -> None:
        self._add(path, "FieldValueRequired", "Required value" + (f": {what}" if what else ""))

    def invalid(self, path: str, value: Any, why: str) -> None:
        self._add(path, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {why}")

    def not_supported(self, path: str, value: Any, allowed: Iterable[str]) -> None:
        listed = ", ".join(f'"{choice}"' for choice in sorted(allowed))
        self._add(path, "FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {listed}")

    def duplicate(self, path: str, value: Any) -> None:
        self._add(path, "FieldValueDuplicate", f"Duplicate value: {_shown(value)}")

    def forbidden(self, path: str, why: str) -> None:
        self._add(path, "FieldValueForbidden", f"Forbidden: {why}")

    def too_long(self, path: str, limit_bytes: int) -> None:
        self._add(path, "FieldValueTooLong", f"Too long: may not be more than {limit_bytes} bytes")

    def not_found(self, path: str, value: Any) -> None:
        self._add(path, "FieldValueNotFound", f"Not found: {_shown(value)}")

    def one_of(self, path: str, value: str | None, allowed: Iterable[str], optional: bool = True) -> None:
        """Complains unless ``value`` is one of ``allowed``; unset is fine when ``optional``."""
        if value is None or value == "":
            if not optional:
                self.required(path)
        elif value not in (choices := tuple(allowed)):
            self.not_supported(path, value, choices)

    def at_least(self, path: str, value: int | None, least: int) -> None:
        if value is not None and value < least:
            self.invalid(path, value, f"must be greater than or equal to {least}")

    def _add(self, path: str, reason: str, message: str) -> None:
        self._causes.append(Cause(path, message, reason))


def _shown(value: Any) -> str:
    """JSON of the value, as in Kubernetes' messages, cut to a readable length."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 300 else text[:300] + "..."
