"""Manifests: text -> objects, each with the file and line where it stands. Pure but for reading the files.

YAML as Kubernetes reads it: several documents, no timestamps, keys become text. A key given twice, an alias that
expands beyond all measure and nesting beyond what the API takes are refused here, with their line, before anything is
sent.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestr8.errors import Orchestr8Error

FILE_BYTES = 16 * 1024 * 1024
_DEPTH = 64
_NODES = 200_000
_SUFFIXES = (".yaml", ".yml", ".json")


class ManifestError(Orchestr8Error):
    """``where``: ``file:line``."""

    code = "InvalidManifest"

    def __init__(self, where: str, message: str) -> None:
        super().__init__(f"{where}: {message}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """``where``: ``file:line`` of the object."""

    where: str
    document: dict[str, Any]

    @property
    def api_version(self) -> str:
        return str(self.document["apiVersion"])

    @property
    def kind(self) -> str:
        return str(self.document["kind"])

    @property
    def name(self) -> str:
        return str(self.document["metadata"].get("name") or "")

    @property
    def namespace(self) -> str:
        return str(self.document["metadata"].get("namespace") or "")


def read(sources: Iterable[str], *, recursive: bool = False) -> list[Manifest]:
    """``sources``: files, folders, or ``-`` for standard input. Raises ManifestError."""
    found: list[Manifest] = []
    for source in sources:
        if source == "-":
            found += parse(sys.stdin.buffer.read(FILE_BYTES + 1), "standard input")
            continue
        for path in _files(source, recursive):
            try:
                with path.open("rb") as file:
                    text = file.read(FILE_BYTES + 1)
            except OSError as error:
                raise ManifestError(str(path), error.strerror or str(error)) from error
            found += parse(text, str(path))
    if not found:
        raise ManifestError(", ".join(sources), "there is no object in it")
    return found


def parse(text: bytes, source: str) -> list[Manifest]:
    """The objects of one file; those of a ``List`` one by one."""
    if len(text) > FILE_BYTES:
        raise ManifestError(source, f"more than {FILE_BYTES // 1024 // 1024} MiB in one file")
    found: list[Manifest] = []
    for line, document in _documents(text, source):
        if document is not None:
            found += _objects(f"{source}:{line}", document)
    return found


def _files(source: str, recursive: bool) -> list[Path]:
    path = Path(source)
    if not path.is_dir():
        return [path]
    inside = path.rglob("*") if recursive else path.iterdir()
    return sorted(file for file in inside if file.suffix in _SUFFIXES and file.is_file())


def _objects(where: str, document: Any) -> Iterator[Manifest]:
    if not isinstance(document, dict):
        raise ManifestError(where, "an object is expected: apiVersion, kind, metadata ...")
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str):
            raise ManifestError(where, f"{field} is missing: every object says its apiVersion and kind")
    if document["kind"].endswith("List") and isinstance(document.get("items"), list):
        for number, item in enumerate(document["items"]):
            yield from _objects(f"{where}, items[{number}]", item)
        return
    if not isinstance(document.get("metadata"), dict):
        raise ManifestError(where, "metadata is missing: every object has a metadata.name")
    yield Manifest(where, document)


# -- YAML ---------------------------------------------------------------------------------------------------


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Without timestamps: a date in a manifest is text, as in JSON."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _documents(text: bytes, source: str) -> Iterator[tuple[int, Any]]:
    try:
        _check_depth(text, source)
        loader = _Loader(text)
        try:
            while loader.check_node():
                node = loader.get_node()
                _check(node, source, {})
                yield node.start_mark.line + 1, _with_text_keys(loader.construct_document(node))
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ManifestError(f"{source}:{line}", error.problem or "this is not YAML") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ManifestError(f"{source}:1", f"this is not YAML: {error}") from error


def _check_depth(text: bytes, source: str) -> None:
    """Over events, which need no stack: libyaml's composer recurses and would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise ManifestError(f"{source}:{line}", f"nested deeper than {_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check(node: Any, source: str, counted: dict[int, int]) -> int:
    """How many nodes ``node`` is with its aliases written out. Raises ManifestError."""
    where = f"{source}:{node.start_mark.line + 1}"
    known = counted.get(id(node))
    if known is not None:
        if known == 0:
            raise ManifestError(where, "an alias contains itself")
        return known
    counted[id(node)] = 0
    total = 1
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise ManifestError(f"{source}:{key.start_mark.line + 1}", f"the key {key.value!r} is given twice")
                seen.add(key.value)
            total += _check(key, source, counted) + _check(value, source, counted)
    elif isinstance(node, yaml.SequenceNode):
        total += sum(_check(item, source, counted) for item in node.value)
    if total > _NODES:
        raise ManifestError(where, f"more than {_NODES} values: are its aliases a mistake?")
    counted[id(node)] = total
    return total


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key_text(key): _with_text_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_text_keys(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"a {type(value).__name__} has no place in a manifest: write it as text")


def _key_text(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return key if isinstance(key, str) else str(key)
