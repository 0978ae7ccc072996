"""What this room is given: the parts of the replicated store and of a connection that it uses (seams, 3 and 4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from orchestr8.rpc.service import MessageStream, Peer
from orchestr8.store.command import Result, Txn
from orchestr8.store.history import Change
from orchestr8.store.view import View


class Store(Protocol):
    @property
    def revision(self) -> int: ...
    def view(self) -> View: ...
    async def propose(self, txn: Txn) -> Result: ...
    def watch(self, since_revision: int) -> AbstractAsyncContextManager[AsyncIterator[list[Change]]]: ...


class Connection(Protocol):
    """A live connection to a worker or to another master."""

    @property
    def peer(self) -> Peer: ...
    async def call(self, method: str, params: Any = None) -> Any: ...
    def stream(self, method: str, params: Any = None) -> AbstractAsyncContextManager[MessageStream]: ...
    async def wait_closed(self) -> None: ...
