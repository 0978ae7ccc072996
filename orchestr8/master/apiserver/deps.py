"""What the API server is given by the master: the store, sessions to workers, time, names and the cluster's ranges.

The protocols here are the parts of docs/design/0001-seams.md that this room uses; ``raft.store`` and ``master.nodes``
fulfil them, and tests put stand-ins in their place.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestr8.clock import Clock
from orchestr8.names import Names
from orchestr8.store.command import Result, Txn
from orchestr8.store.history import Change
from orchestr8.store.view import View


class Changes(Protocol):
    """Batches of changes of a watch; ``anext`` raises Expired when the reader is too slow."""

    def __aiter__(self) -> Changes: ...
    async def __anext__(self) -> list[Change]: ...


class Store(Protocol):
    """The replicated store, seams section 3. Its watch raises Expired when it cannot start at ``since_revision``."""

    @property
    def revision(self) -> int: ...
    def view(self) -> View: ...
    async def propose(self, txn: Txn) -> Result: ...
    async def read_barrier(self) -> int: ...
    def watch(self, since_revision: int) -> AbstractAsyncContextManager[Changes]: ...


class WorkerStream(Protocol):
    """One stream to a worker, seams section 5. ``receive`` raises trio.EndOfChannel behind the last message."""

    async def send(self, value: Any) -> None: ...
    async def send_eof(self) -> None: ...
    async def receive(self) -> Any: ...


class Sessions(Protocol):
    """The workers' connections. Raises Unavailable when no master has a connection to ``node``."""

    def open_stream(
        self, node: str, method: str, params: dict[str, Any]
    ) -> AbstractAsyncContextManager[WorkerStream]: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. ``groups`` does not hold system:authenticated; access.py adds what everybody has."""

    user: str
    groups: tuple[str, ...] = ()
    uid: str = ""


@dataclass(frozen=True, slots=True)
class ApiDeps:
    """``verifier``: the identity of a bearer token, or None. ``status_fn``, ``why_fn``: JSON-able answers.

    ``why_fn(namespace, pod)`` raises NotFound. ``service_cidr`` as in "10.96.0.0/16", ``node_port_range`` as in
    "30000-32767". ``ready_fn``: "" when this master may serve, else the reason why not.
    """

    store: Store
    sessions: Sessions
    names: Names
    clock: Clock
    verifier: Callable[[str], Identity | None]
    status_fn: Callable[[], Any]
    why_fn: Callable[[str, str], Any]
    service_cidr: str = "10.96.0.0/16"
    node_port_range: str = "30000-32767"
    ready_fn: Callable[[], str] = field(default=lambda: "")
