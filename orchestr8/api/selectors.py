"""Label selectors (as text and as an object) and field selectors.

A parsed selector is a tuple of requirements that all must hold. Source: the Kubernetes page "Labels and Selectors".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from orchestr8.api.meta import LabelSelector
from orchestr8.errors import BadRequest

MAX_REQUIREMENTS = 256


class Requirement(msgspec.Struct, frozen=True, gc=False):
    """``operator`` is one of In, NotIn, Exists, DoesNotExist, Gt, Lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case "Gt":
                return value is not None and _integer(value) > _integer(self.values[0])
            case "Lt":
                return value is not None and _integer(value) < _integer(self.values[0])
        raise AssertionError(f"unknown selector operator {self.operator}")


class Selector(msgspec.Struct, frozen=True, gc=False):
    """All requirements must hold; no requirement matches everything, unless ``nothing``."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        return not self.nothing and all(requirement.matches(labels) for requirement in self.requirements)

    def __str__(self) -> str:
        return ",".join(_text(requirement) for requirement in self.requirements)


NOTHING = Selector(nothing=True)


def from_object(selector: LabelSelector | None) -> Selector:
    """The selector of a LabelSelector object; None selects nothing, an empty one everything.

    Raises BadRequest on an operator that Kubernetes does not know (validation refuses such objects before).
    """
    if selector is None:
        return NOTHING
    requirements = [Requirement(key, "In", (value,)) for key, value in sorted(selector.match_labels.items())]
    for expression in selector.match_expressions:
        if expression.operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            raise BadRequest(f"{expression.operator!r} is not a valid label selector operator")
        requirements.append(Requirement(expression.key, expression.operator, expression.values))
    return Selector(tuple(requirements))


def from_labels(labels: Mapping[str, str]) -> Selector:
    """The selector of a plain map (a Service's); an empty map selects nothing."""
    if not labels:
        return NOTHING
    return Selector(tuple(Requirement(key, "In", (value,)) for key, value in sorted(labels.items())))


def format_object(selector: LabelSelector | None) -> str:
    """The text of a LabelSelector, as a query parameter or a Scale's ``status.selector`` holds it."""
    return str(from_object(selector)) if selector is not None else ""


_TOKEN = re.compile(r"\s*(==|!=|=|!|,|\(|\)|<|>|[^\s=!,()<>]+)")
_KEY = re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?")


def parse_labels(text: str) -> Selector:
    """Parses ``a=b,c!=d,e in (f,g),h notin (i),j,!k,l>5``. Raises BadRequest saying where it stopped."""
    reader = _Tokens(text)
    requirements: list[Requirement] = []
    while reader.peek() is not None:
        requirements.append(_requirement(reader))
        if len(requirements) > MAX_REQUIREMENTS:
            raise reader.error(f"a selector may have at most {MAX_REQUIREMENTS} requirements")
        following = reader.next()
        if following is None:
            break
        if following != "," or reader.peek() is None:
            raise reader.error("expected a comma and another requirement, or the end")
    return Selector(tuple(requirements))


class _Tokens:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [found.group(1) for found in _TOKEN.finditer(text)]
        self._position = 0

    def peek(self) -> str | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def next(self) -> str | None:
        token = self.peek()
        self._position += 1
        return token

    def error(self, complaint: str) -> BadRequest:
        return BadRequest(f"unable to parse label selector {self._text[:200]!r}: {complaint}")


def _requirement(reader: _Tokens) -> Requirement:
    if reader.peek() == "!":
        reader.next()
        return Requirement(_key(reader), "DoesNotExist")
    key = _key(reader)
    match reader.peek():
        case None | ",":
            return Requirement(key, "Exists")
        case "=" | "==":
            reader.next()
            return Requirement(key, "In", (_value(reader),))
        case "!=":
            reader.next()
            return Requirement(key, "NotIn", (_value(reader),))
        case "<" | ">" as sign:
            reader.next()
            value = _value(reader)
            if not re.fullmatch(r"-?[0-9]{1,18}", value):
                raise reader.error(f"{value!r} after {sign} is not an integer")
            return Requirement(key, "Gt" if sign == ">" else "Lt", (value,))
        case "in" | "notin" as word:
            reader.next()
            return Requirement(key, "In" if word == "in" else "NotIn", _value_set(reader))
    raise reader.error(f"unexpected {reader.peek()!r} after {key!r}; use = == != in notin > <")


def _key(reader: _Tokens) -> str:
    token = reader.next()
    if token is None or len(token) > 317 or not _KEY.fullmatch(token):
        raise reader.error(f"{token!r} is not a label key")
    return token


def _value(reader: _Tokens) -> str:
    token = reader.peek()
    if token is None or token == "," or token == ")":
        return ""
    reader.next()
    if len(token) > 63 or not _VALUE.fullmatch(token):
        raise reader.error(f"{token!r} is not a label value")
    return token


def _value_set(reader: _Tokens) -> tuple[str, ...]:
    if reader.next() != "(":
        raise reader.error("expected ( after in or notin")
    values = [_value(reader)]
    while (token := reader.next()) == ",":
        values.append(_value(reader))
    if token != ")":
        raise reader.error("expected ) after the values")
    return tuple(sorted(set(values)))


def _text(requirement: Requirement) -> str:
    match requirement.operator:
        case "In" if len(requirement.values) == 1:
            return f"{requirement.key}={requirement.values[0]}"
        case "NotIn" if len(requirement.values) == 1:
            return f"{requirement.key}!={requirement.values[0]}"
        case "In" | "NotIn" as word:
            return f"{requirement.key} {word.lower()} ({','.join(sorted(requirement.values))})"
        case "DoesNotExist":
            return f"!{requirement.key}"
        case "Gt" | "Lt" as word:
            return f"{requirement.key}{'>' if word == 'Gt' else '<'}{requirement.values[0]}"
    return requirement.key


def _integer(text: str) -> float:
    """A label that is no integer is neither greater nor less: NaN compares false."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else float("nan")


class FieldTerm(msgspec.Struct, frozen=True, gc=False):
    """``field`` equals (or, ``negated``, differs from) ``value``."""

    field: str
    value: str
    negated: bool = False


def parse_fields(text: str) -> tuple[FieldTerm, ...]:
    """Parses ``status.phase!=Failed,spec.nodeName=n1``; ``\\,`` and ``\\=`` stand for themselves in a value.

    Raises BadRequest. Whether a kind supports a field is asked of ``kinds.field_value``.
    """
    terms: list[FieldTerm] = []
    for part in re.split(r"(?<!\\),", text):
        if not part.strip():
            continue
        found = re.fullmatch(r"\s*([A-Za-z][\w.\-/]*)\s*(!=|==|=)(.*)", part, re.DOTALL)
        if found is None:
            raise BadRequest(f"invalid field selector {part[:200]!r}: expected field=value or field!=value")
        value = re.sub(r"\\(.)", r"\1", found[3])
        terms.append(FieldTerm(found[1], value, found[2] == "!="))
        if len(terms) > MAX_REQUIREMENTS:
            raise BadRequest(f"a field selector may have at most {MAX_REQUIREMENTS} terms")
    return tuple(terms)


def matches_fields(terms: Iterable[FieldTerm], values: Mapping[str, str]) -> bool:
    """``values`` maps every field that the kind supports to its text ("" when unset)."""
    return all((values.get(term.field, "") == term.value) != term.negated for term in terms)
