"""The replicated state machine: same log, same state, same bytes on every master.

``apply`` is total: whatever bytes come, it answers Results and never raises, because a master that raised on an entry
would raise again at every start. A transaction is checked as a whole before its first write, so it happens entirely or
not at all. Every write gets a revision of its own. Commands are remembered by request id with their first result, in a
bounded ring that is part of the state, so that a retry after an unknown outcome is applied once.
No clock, no chance, no I/O: uids and timestamps are chosen by whoever proposes.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from orchestr8 import limits
from orchestr8.api import kinds
from orchestr8.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    Invalid,
    LimitExceeded,
    NotFound,
    Orchestr8Error,
)
from orchestr8.store import snapshot
from orchestr8.store.command import (
    ABSENT,
    PRESENT,
    REQUEST_ID_CHARS,
    Claim,
    Command,
    Compare,
    Delete,
    Key,
    Put,
    Result,
    Txn,
    decode_batch,
)
from orchestr8.store.history import Change, History
from orchestr8.store.index import Index
from orchestr8.store.stored import Decoded, Stored, accept
from orchestr8.store.view import View

# An update may go this much above limits.STORE_BYTES, so that a full store can still be worked on while it is emptied.
_UPDATE_HEADROOM_BYTES = limits.STORE_BYTES // 8
_DIGEST_BITS = 128


class State:
    """``revision``: of the last write. ``claim``: number of the newest claim; ``leader``: the master that made it."""

    def __init__(self) -> None:
        self.revision = 0
        self.claim = 0
        self.leader = ""
        self._index = Index()
        self._history = History(0)
        self._decoded = Decoded()
        self._results: OrderedDict[str, Result] = OrderedDict()
        self._sum = 0

    # -- writing --------------------------------------------------------------------------------------

    def apply(self, entry: bytes) -> list[Result]:
        """One result per command of the entry, in order; one BadRequest for an entry that is not a batch."""
        try:
            commands = decode_batch(entry)
        except BadRequest as error:
            return [Result(self.revision, error.code, error.message)]
        return [self._once(command) for command in commands]

    def _once(self, command: Command) -> Result:
        request_id = command.request_id
        first = self._results.get(request_id) if request_id else None
        if first is not None:
            return first
        try:
            result = self._claim(command) if isinstance(command, Claim) else self._transact(command)
        except Orchestr8Error as error:
            result = Result(self.revision, error.code, error.message)
        if request_id and len(request_id) <= REQUEST_ID_CHARS:
            self._results[request_id] = result
            if len(self._results) > limits.REQUEST_IDS_KEPT:
                self._results.popitem(last=False)
        return result

    def _claim(self, command: Claim) -> Result:
        _check_request_id(command)
        self.claim += 1
        self.leader = command.master
        return Result(self.revision, claim=self.claim)

    def _transact(self, txn: Txn) -> Result:
        _check_request_id(txn)
        if txn.claim not in (0, self.claim):
            raise Conflict(f"claim {txn.claim} is no longer the leader's: master {self.leader!r} holds {self.claim}")
        if len(txn.writes) > limits.TXN_WRITES:
            raise LimitExceeded(f"{len(txn.writes)} writes in one transaction: at most {limits.TXN_WRITES}")
        for compare in txn.compares:
            self._check(compare)
        for key, stored in self._prepare(txn.writes):
            self._write(key, stored)
        return Result(self.revision)

    def _check(self, compare: Compare) -> None:
        found = self._index.get(*compare.key)
        if compare.revision == ABSENT:
            if found is not None:
                raise AlreadyExists(f"{describe(compare.key)} already exists")
        elif found is None:
            raise NotFound(f"{describe(compare.key)} not found")
        elif compare.revision not in (PRESENT, found.revision):
            raise Conflict(
                f"{describe(compare.key)} was changed at revision {found.revision}, after {compare.revision}: "
                "read the latest version and try again"
            )

    def _prepare(self, writes: Sequence[Put | Delete]) -> list[tuple[Key, Stored | None]]:
        """The writes, decoded and held against the bounds. Raises before anything is written."""
        prepared: list[tuple[Key, Stored | None]] = []
        size: dict[Key, int] = {}
        count, total = self._index.count, self._index.json_bytes
        created = grown = False
        for revision, write in enumerate(writes, start=self.revision + 1):
            key = write.key
            if key in size:
                before = size[key]
            else:
                found = self._index.get(*key)
                before = len(found.json) if found is not None else 0
            stored = None
            if isinstance(write, Put):
                stored = self._accept(write, revision)
                created = created or before == 0
                grown = grown or stored.obj.metadata.deletion_timestamp is None
            elif before == 0:
                raise NotFound(f"{describe(key)} not found")
            after = len(stored.json) if stored is not None else 0
            size[key] = after
            total += after - before
            count += (after > 0) - (before > 0)
            prepared.append((key, stored))
        if created and count > max(limits.STORE_OBJECTS, self._index.count):
            raise LimitExceeded(f"the store holds {self._index.count} objects, its bound: delete some first")
        bound = limits.STORE_BYTES if created else limits.STORE_BYTES + _UPDATE_HEADROOM_BYTES
        if grown and total > max(bound, self._index.json_bytes):
            raise LimitExceeded(f"the store holds {self._index.json_bytes} of {bound} bytes: delete objects first")
        return prepared

    def _accept(self, put: Put, revision: int) -> Stored:
        try:
            return accept(put.key, put.data, revision, self._decoded)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            raise Invalid(f"{describe(put.key)}: {error}") from error

    def _write(self, key: Key, stored: Stored | None) -> None:
        self.revision += 1
        before = self._index.delete(key) if stored is None else self._index.put(stored)
        for each, sign in ((before, -1), (stored, 1)):
            if each is not None:
                self._sum = (self._sum + sign * _fingerprint(each)) % (1 << _DIGEST_BITS)
        self._history.append(Change(self.revision, key, before, stored))

    @property
    def count(self) -> int:
        """Objects in the state."""
        return self._index.count

    # -- reading --------------------------------------------------------------------------------------

    def view(self) -> View:
        return View(self._index, self._history, self.revision)

    def since(self, revision: int) -> Sequence[Change]:
        """Changes after ``revision``, oldest first. Raises Expired."""
        return self._history.since(revision)

    def digest(self) -> str:
        """Equal on all masters that applied the same log. Cheap per object: a sum kept up to date by change."""
        digest = hashlib.blake2b(digest_size=_DIGEST_BITS // 8)
        digest.update(msgspec.msgpack.encode((self.revision, self.claim, self.leader, f"{self._sum:x}")))
        for request_id, result in self._results.items():
            digest.update(msgspec.msgpack.encode((request_id, result)))
        return digest.hexdigest()

    # -- snapshots ------------------------------------------------------------------------------------

    def dump(self) -> Iterator[bytes]:
        """The state of this moment in chunks. Later changes do not show: take the chunks one by one, or in a thread."""
        return snapshot.write(
            snapshot.Head(self.revision, self.claim, self.leader, self.digest()),
            self._index.everything(),
            list(self._results.items()),
        )

    @classmethod
    def load(cls, chunks: Iterable[bytes]) -> State:
        """The state that ``dump`` wrote. Raises CorruptState for damaged, missing or foreign chunks."""
        state = cls()
        head = snapshot.read(chunks, state._decoded, state._restore, state._results.__setitem__)
        state.revision, state.claim, state.leader = head.revision, head.claim, head.leader
        state._history = History(head.revision)
        snapshot.verify(head, state.digest())
        return state

    def _restore(self, stored: Stored) -> None:
        self._index.put(stored)
        self._sum = (self._sum + _fingerprint(stored)) % (1 << _DIGEST_BITS)


def _check_request_id(command: Command) -> None:
    if len(command.request_id) > REQUEST_ID_CHARS:
        raise BadRequest(f"request id of {len(command.request_id)} characters: at most {REQUEST_ID_CHARS}")


def _fingerprint(stored: Stored) -> int:
    digest = hashlib.blake2b("\0".join(stored.key).encode(), digest_size=_DIGEST_BITS // 8)
    digest.update(stored.json)
    return int.from_bytes(digest.digest(), "big")


def describe(key: Key) -> str:
    """As Kubernetes names an object in a message: ``deployments.apps "web"``."""
    try:
        kind = kinds.by_name(key.kind)
    except NotFound:
        return f'{key.kind} "{key.name}"'
    return f'{kind.plural}.{kind.group} "{key.name}"' if kind.group else f'{kind.plural} "{key.name}"'
