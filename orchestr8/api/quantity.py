"""Kubernetes quantities: "100m", "1.5", "64Mi", "2e3", "1k".

Exact: values are integers or fractions, never floats. Kubernetes rounds up what is finer than 10^-9 and so do we.
Source: the Kubernetes reference page "Quantity".
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
# Digits are bounded: a quantity of a million digits would cost quadratic time.
_SYNTAX = re.compile(
    r"(?P<sign>[+-]?)(?P<number>[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]{1,2}))?",
)


@lru_cache(maxsize=4_096)
def parse(text: str) -> Fraction:
    """The exact value of ``text``. Raises ValueError that says what a quantity looks like."""
    found = _SYNTAX.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text[:64]!r} is not a quantity; write a number with an optional unit, such as 500m, 2 or 128Mi"
        )
    value = Fraction(found["number"] if not found["number"].endswith(".") else found["number"] + "0")
    suffix, exponent = found["suffix"], found["exponent"]
    if suffix in _BINARY:
        value *= 1024 ** _BINARY[suffix]
    else:
        value *= Fraction(10) ** (int(exponent) if exponent else _DECIMAL[suffix or ""])
    nanos = math.ceil(value * 10**9)
    return Fraction(nanos, 10**9) * (-1 if found["sign"] == "-" else 1)


def is_valid(text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def cpu_millis(text: str) -> int:
    """CPU in thousandths of a core, rounded up."""
    return math.ceil(parse(text) * 1_000)


def memory_bytes(text: str) -> int:
    """Bytes (memory, storage) or a plain count, rounded up."""
    return math.ceil(parse(text))


def format_cpu(millis: int) -> str:
    """1500 -> "1500m", 2000 -> "2"."""
    return f"{millis}m" if millis % 1_000 else str(millis // 1_000)


def format_bytes(count: int) -> str:
    """134217728 -> "128Mi"; what is no whole number of a binary unit stays a plain number."""
    for unit, power in reversed(_BINARY.items()):
        if count and count % 1024**power == 0:
            return f"{count // 1024**power}{unit}"
    return str(count)


@lru_cache(maxsize=4_096)
def canonical(text: str) -> str:
    """The spelling that Kubernetes stores: no fraction, the largest unit of the same family that needs none.

    "0.5" -> "500m", "1024Mi" -> "1Gi", "1000m" -> "1", "2e3" -> "2e3". Raises ValueError like ``parse``.
    """
    value = parse(text)
    found = _SYNTAX.fullmatch(text)
    assert found is not None  # parse() would have raised
    if value == 0:
        return "0"
    if found["suffix"] in _BINARY and value.denominator == 1 and abs(value) >= 1024:
        return format_bytes(value.numerator) if value > 0 else "-" + format_bytes(-value.numerator)
    power = _decimal_power(value)
    whole = value / Fraction(10) ** power
    assert whole.denominator == 1
    if found["exponent"]:
        return f"{whole.numerator}e{power}" if power else str(whole.numerator)
    unit = next(unit for unit, exponent in _DECIMAL.items() if exponent == power)
    return f"{whole.numerator}{unit}"


def _decimal_power(value: Fraction) -> int:
    """The largest multiple of three, between -9 and 18, that leaves ``value`` whole."""
    return next(power for power in range(18, -10, -3) if (value / Fraction(10) ** power).denominator == 1)
