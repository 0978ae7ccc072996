"""What most verbs share: the options that choose a cluster, and the cluster they chose.

Discovery is kept on disk for ten minutes per server, as kubectl does; a name that is not found is looked for afresh.
"""

from __future__ import annotations

import functools
import json
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from orchestr8.cli.failures import Failure, failure
from orchestr8.cli.http import Api
from orchestr8.client import access, resources
from orchestr8.client.resources import Catalogue, Resource
from orchestr8.errors import BadRequest, Orchestr8Error

_DISCOVERY_SECONDS = 600
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Item:
    """One object or one collection (``name`` "") that the user named."""

    resource: Resource
    name: str = ""

    @property
    def text(self) -> str:
        return f"{self.resource.full_name}/{self.name}"


class Cluster:
    """``namespace``: of -n, else of the context."""

    def __init__(self, paths: Sequence[Path], context: str | None, namespace: str | None) -> None:
        self.access = access.load(paths, context)
        self.namespace = namespace or self.access.namespace
        self.api = Api(self.access)
        self._catalogue: Catalogue | None = None
        self._fresh = False

    def find(self, name: str) -> Resource:
        return self._ask(lambda catalogue: catalogue.find(name))

    def find_all(self, names: str) -> list[Resource]:
        return self._ask(lambda catalogue: catalogue.find_all(names))

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        found = self.catalogue().by_kind(api_version, kind)
        return found or (None if self._fresh else self.catalogue(fresh=True).by_kind(api_version, kind))

    def items(self, words: Sequence[str]) -> list[Item]:
        """``pods``, ``pods,svc``, ``pod web``, ``pod/web deploy/api``. Raises BadRequest."""
        if not words:
            raise BadRequest("name what you want: a kind such as `pods`, or `pod/NAME`")
        if any("/" in word for word in words):
            if not all("/" in word for word in words):
                raise BadRequest("write either KIND NAME... or KIND/NAME...")
            parts = [word.partition("/") for word in words]
            return [Item(self.find(kind), name) for kind, _, name in parts]
        found = self.find_all(words[0])
        if len(words) > 1 and len(found) > 1:
            raise BadRequest("names can follow one kind only")
        return [Item(resource, name) for resource in found for name in (words[1:] or [""])]

    def path(self, item: Item, subresource: str = "") -> str:
        return item.resource.path(self.namespace, item.name, subresource)

    def get(self, item: Item) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(self.path(item))
        return found

    def catalogue(self, *, fresh: bool = False) -> Catalogue:
        if self._catalogue is None or fresh:
            cache = self._cache()
            documents = None if fresh else _recent(cache)
            if documents is None:
                self._fresh = True
                documents = [self.api.get(path, resources.DISCOVERY_ACCEPT) for path in resources.DISCOVERY_PATHS]
                _keep(cache, documents)
            self._catalogue = resources.parse(documents)
        return self._catalogue

    def _ask(self, question: Callable[[Catalogue], T]) -> T:
        try:
            return question(self.catalogue())
        except BadRequest:
            if self._fresh:
                raise
            return question(self.catalogue(fresh=True))

    def _cache(self) -> Path:
        identity = f"{zlib.crc32(self.access.ca_pem or b''):08x}-{zlib.crc32(self.access.servers[0].encode()):08x}"
        return Path.home() / ".cache" / "orchestr8" / f"discovery-{identity}.json"


def _recent(cache: Path) -> Any:
    try:
        if time.time() - cache.stat().st_mtime < _DISCOVERY_SECONDS:
            return json.loads(cache.read_bytes())
    except (OSError, ValueError):
        return None
    return None


def _keep(cache: Path, documents: Any) -> None:
    """A home that cannot be written costs a request a time, nothing else."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        temporary = cache.with_suffix(".new")
        temporary.write_text(json.dumps(documents))
        temporary.replace(cache)
    except OSError:
        return


# -- options ----------------------------------------------------------------------------------------------


def with_cluster(command: F) -> F:
    """Adds -n, --context and --kubeconfig, and passes the Cluster first. Its errors end the command with their code."""

    @may_choose_cluster
    @functools.wraps(command)
    def run(choose: Callable[[], Cluster], *args: Any, **options: Any) -> Any:
        with reported():
            cluster = choose()
            try:
                return command(cluster, *args, **options)
            finally:
                cluster.api.close()

    return run  # type: ignore[return-value]


def may_choose_cluster(command: F) -> F:
    """As with_cluster, but passes the function that opens the Cluster, for verbs that can do without one."""

    @click.option("-n", "--namespace", metavar="NAME", help="Namespace; default: the context's, else 'default'.")
    @click.option("--context", metavar="NAME", help="Context of the kubeconfig; default: its current one.")
    @click.option(
        "--kubeconfig",
        envvar="KUBECONFIG",
        metavar="FILE",
        help="Kubeconfig; default: $KUBECONFIG, else ~/.kube/config.",
    )
    @functools.wraps(command)
    def run(*args: Any, namespace: str | None, context: str | None, kubeconfig: str | None, **options: Any) -> Any:
        paths = [Path(part) for part in kubeconfig.split(":") if part] if kubeconfig else [default_kubeconfig()]
        return command(functools.partial(Cluster, paths, context, namespace), *args, **options)

    return run  # type: ignore[return-value]


class reported:
    """Errors of errors.py leave the block as a Failure, which click shows and turns into an exit code."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Orchestr8Error):
            raise failure(error) from error


def default_kubeconfig() -> Path:
    return Path.home() / ".kube" / "config"


def seconds(text: str) -> float:
    """``90``, ``90s``, ``5m``, ``1h30m``. Raises Failure with exit code 2."""
    total, number = 0.0, ""
    for char in text:
        if char.isdigit() or char == ".":
            number += char
        elif char in _UNITS and number:
            total, number = total + float(number) * _UNITS[char], ""
        else:
            raise Failure(f"{text!r} is no length of time: write 90s, 5m or 1h30m", exit_code=2)
    return total + float(number or 0)


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Whole lines of a stream, without their ends."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        yield rest
