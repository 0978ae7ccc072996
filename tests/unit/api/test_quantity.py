"""Quantities mean what Kubernetes says, exactly."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.api import quantity

UNITS = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E-3", "e+6"]
quantities = st.builds(
    lambda sign, number, fraction, unit: f"{sign}{number}{fraction}{unit}",
    st.sampled_from(["", "-", "+"]),
    st.integers(0, 10**9),
    st.sampled_from(["", ".", ".5", ".25", ".125", ".000000001"]),
    st.sampled_from(UNITS),
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100m", Fraction(1, 10)),
        ("1.5", Fraction(3, 2)),
        (".5", Fraction(1, 2)),
        ("64Mi", 64 * 1024**2),
        ("1k", 1000),
        ("2e3", 2000),
        ("2E3", 2000),
        ("2E", 2 * 10**18),
        ("-1", -1),
        ("0.0000000001", Fraction(1, 10**9)),  # finer than a nano is rounded up
    ],
)
def test_a_quantity_has_the_exact_value(text: str, value: Fraction | int) -> None:
    assert quantity.parse(text) == value


@pytest.mark.parametrize("text", ["", "m", "1 Gi", "1gi", "1KiB", "0x10", "NaN", "1e", "--1", "1.2.3", "1" * 100, "١"])
def test_what_is_no_quantity_is_refused_with_an_example(text: str) -> None:
    assert not quantity.is_valid(text)
    with pytest.raises(ValueError, match="such as 500m, 2 or 128Mi"):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1024Mi", "1Gi"),
        ("1500Mi", "1500Mi"),
        ("1.5Gi", "1536Mi"),
        ("100", "100"),
        ("2000", "2k"),
        ("0", "0"),
        ("0Mi", "0"),
        ("2e3", "2e3"),
        ("512", "512"),
    ],
)
def test_the_canonical_spelling_is_that_of_kubernetes(text: str, canonical: str) -> None:
    assert quantity.canonical(text) == canonical


@given(quantities)
def test_the_canonical_spelling_keeps_the_value_and_is_its_own(text: str) -> None:
    canonical = quantity.canonical(text)
    assert quantity.parse(canonical) == quantity.parse(text)
    assert quantity.canonical(canonical) == canonical


def test_cpu_and_memory_are_rounded_up_to_what_can_be_set() -> None:
    assert quantity.cpu_millis("0.0001") == 1
    assert quantity.cpu_millis("2") == 2000
    assert quantity.memory_bytes("1500m") == 2
    assert quantity.memory_bytes("1Ki") == 1024


@given(st.integers(0, 2**60))
def test_formatted_amounts_read_back(amount: int) -> None:
    assert quantity.memory_bytes(quantity.format_bytes(amount)) == amount
    assert quantity.cpu_millis(quantity.format_cpu(amount)) == amount
