"""pysyncobj 0.3.17, held in one place: the only module that touches its private names or its module globals.

What changes against the library: no pickle, no sockets, no threads, no pipes, no files, no clock and no chance of its
own. Time is what the last caller of ``set_now`` said; election jitter comes from an injected function; commands go to
an injected ``apply``; log compaction and snapshots are ours (snapshot.py), so its serializer only tells which peer
needs one. An upgrade of the library fails here on import and is then judged by tests/simulation/raft.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, Protocol

import pysyncobj.journal
import pysyncobj.serializer
import pysyncobj.syncobj
import pysyncobj.tcp_connection
from pysyncobj.config import FAIL_REASON, SyncObjConf
from pysyncobj.node import Node
from pysyncobj.syncobj import SyncObj
from pysyncobj.version import VERSION

from orchestr8 import limits

PINNED_VERSION = "0.3.17"
REGULAR = b"\0"  # first byte of a log entry that carries a batch of transactions
NO_OP = b"\1"

# Every private name we read, write or override. They are looked for in the compiled constructor and on the class.
_FIELDS = (
    "raftState",
    "raftLeader",
    "raftCurrentTerm",
    "raftCommitIndex",
    "raftLastApplied",
    "raftElectionDeadline",
    "raftNextIndex",
    "raftMatchIndex",
    "lastResponseTime",
    "commandsWaitingCommit",
    "noopIDx",
    "newAppendEntriesTime",
    "serializer",
    "transferInProgress",
)
_METHODS = ("generateRaftTimeout", "doApplyCommand", "parseChangeClusterRequest", "sendAppendEntries", "onBecomeLeader")
_GLOBALS = ("monotonicTime", "createJournal", "createPoller", "pickle", "PIPE_NOTIFIER_ENABLED")


def check_private_names(version: str, cls: type, module: object) -> None:
    """Raises RuntimeError naming what is gone, so that an upgrade cannot go unnoticed."""
    names = cls.__init__.__code__.co_names  # type: ignore[misc]
    missing = [name for name in _FIELDS if f"_{cls.__name__}__{name}" not in names]
    missing += [name for name in _METHODS if not hasattr(cls, f"_{cls.__name__}__{name}")]
    missing += [name for name in _GLOBALS if not hasattr(module, name)]
    if version != PINNED_VERSION or missing:
        raise RuntimeError(
            f"pysyncobj {version} is not the {PINNED_VERSION} that raft/ was proven with "
            f"(private names gone: {', '.join(missing) or 'none'}); install the pinned version"
        )


check_private_names(VERSION, SyncObj, pysyncobj.syncobj)

_now_seconds = 0.0


def set_now(now: float) -> None:
    """The time pysyncobj sees until the next call; the replica says it before each step."""
    global _now_seconds
    _now_seconds = now


class _NoPickle:
    """Stands in for pickle: reaching it is a bug, and unpickling what a peer sent would run its code."""

    @staticmethod
    def _refuse(*_: object) -> NoReturn:
        raise RuntimeError("raft/ never pickles")

    dumps = loads = dump = load = to_bytes = _refuse


class _NoPoller:
    def poll(self, _timeout: float) -> None:
        """Sockets are the transport's business."""


pysyncobj.syncobj.monotonicTime = lambda: _now_seconds
pysyncobj.syncobj.createJournal = lambda journal: journal
pysyncobj.syncobj.createPoller = lambda _kind: _NoPoller()
pysyncobj.syncobj.PIPE_NOTIFIER_ENABLED = False  # two file descriptors for each instance, never closed
pysyncobj.syncobj.pickle = _NoPickle
pysyncobj.serializer.pickle = _NoPickle
pysyncobj.journal.loads = pysyncobj.journal.dumps = _NoPickle._refuse
pysyncobj.tcp_connection.pickle = _NoPickle


class Member(Node):  # type: ignore[misc]
    """A master by its name. The hash is stable, so that sets of members are walked in the same order in every run."""

    def __hash__(self) -> int:
        return zlib.crc32(self.id.encode())


class Outlet(Protocol):
    """Where the core's messages go."""

    def __call__(self, peer: str, message: dict[str, Any]) -> None: ...


class _Transport:
    """pysyncobj's idea of a transport: callbacks in, messages out."""

    ready = True

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self.connected: Callable[[Member], None]
        self.disconnected: Callable[[Member], None]
        self.received: Callable[[Member, dict[str, Any]], None]

    def send(self, node: Member, message: dict[str, Any]) -> bool:
        self._outlet(node.id, message)
        return True

    def setOnMessageReceivedCallback(self, callback: Callable[[Member, dict[str, Any]], None]) -> None:
        self.received = callback

    def setOnNodeConnectedCallback(self, callback: Callable[[Member], None]) -> None:
        self.connected = callback

    def setOnNodeDisconnectedCallback(self, callback: Callable[[Member], None]) -> None:
        self.disconnected = callback

    def setOnReadonlyNodeConnectedCallback(self, callback: object) -> None:
        """There are no read-only members."""

    def setOnReadonlyNodeDisconnectedCallback(self, callback: object) -> None:
        """There are no read-only members."""

    def setOnUtilityMessageCallback(self, message: str, callback: object) -> None:
        """No message adds, removes or transfers anything; see store.py for who may ask what."""

    def destroy(self) -> None:
        """Nothing is held."""


class _SnapshotWanted:
    """Takes the place of the library's serializer: a peer that asks for more than the log holds is only noted."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def checkSerializing(self) -> tuple[int, None]:
        return 0, None  # NOT_SERIALIZING, always: compaction is ours

    def getTransmissionData(self, node: Member) -> None:
        # Without a new next index the caller would loop until its own clock moves, and it does not move in a step.
        self._core.next_index[node] = self._core.last_index() + 1
        self._core.snapshot_wanted.add(node.id)

    def cancelTransmisstion(self, node: Member) -> None:
        """Transfers end with their connection."""


def _mangled(name: str) -> Any:
    private = f"_SyncObj__{name}"
    return property(lambda self: getattr(self, private), lambda self, value: setattr(self, private, value))


class Core(SyncObj):  # type: ignore[misc]
    """The library's Raft with its private state under plain names."""

    election_deadline: float = _mangled("raftElectionDeadline")
    commit_index: int = _mangled("raftCommitIndex")
    applied_index: int = _mangled("raftLastApplied")
    transfer_in_progress: bool = _mangled("transferInProgress")

    def __init__(
        self,
        me: str,
        others: Iterable[str],
        journal: Any,
        apply: Callable[[int, bytes], object],
        outlet: Outlet,
        uniform: Callable[[float, float], float],
        *,
        applied_index: int,
        append_batch_bytes: int,
    ) -> None:
        self._uniform = uniform
        self._apply_entry = apply
        self._members = {name: Member(name) for name in sorted(others)}
        self._wire = _Transport(outlet)
        self.snapshot_wanted: set[str] = set()
        conf = SyncObjConf(
            autoTick=False,
            raftMinTimeout=limits.ELECTION_SECONDS_MIN,
            raftMaxTimeout=limits.ELECTION_SECONDS_MAX,
            appendEntriesPeriod=limits.APPEND_PERIOD_SECONDS,
            leaderFallbackTimeout=limits.LEADER_FALLBACK_SECONDS,
            connectionTimeout=10,
            commandsWaitLeader=False,
            commandsQueueSize=limits.PROPOSALS_IN_FLIGHT,
            appendEntriesUseBatch=False,
            appendEntriesBatchSizeBytes=append_batch_bytes,
            useFork=False,
            logCompactionMinEntries=2**60,
            logCompactionMinTime=2**60,
            dynamicMembershipChange=False,
            journalFile=journal,
        )
        super().__init__(Member(me), list(self._members.values()), conf, transport=self._wire)
        self._SyncObj__serializer = _SnapshotWanted(self)
        self.applied_index = applied_index
        self.commit_index = applied_index

    # -- overrides ---------------------------------------------------------------------------------------
    def _SyncObj__generateRaftTimeout(self) -> float:
        return self._uniform(limits.ELECTION_SECONDS_MIN, limits.ELECTION_SECONDS_MAX)

    def _SyncObj__doApplyCommand(self, command: bytes) -> object:
        # The library raises the applied index after this returns.
        return self._apply_entry(self._SyncObj__raftLastApplied + 1, command)

    def _SyncObj__parseChangeClusterRequest(self, command: bytes) -> None:
        return None  # members are fixed; membership.py will decide when they are not

    # -- what the replica reads --------------------------------------------------------------------------
    def leads(self) -> bool:
        return bool(self._SyncObj__raftState == 2)

    def is_candidate(self) -> bool:
        return bool(self._SyncObj__raftState == 1)

    def leader_name(self) -> str | None:
        leader = self._SyncObj__raftLeader
        return None if leader is None else leader.id

    def term(self) -> int:
        return int(self._SyncObj__raftCurrentTerm)

    def last_index(self) -> int:
        return int(self._SyncObj__getCurrentLogIndex())

    def last_term(self) -> int:
        return int(self._SyncObj__getCurrentLogTerm())

    @property
    def next_index(self) -> dict[Member, int]:
        return self._SyncObj__raftNextIndex  # type: ignore[no-any-return]

    def match_index(self, peer: str) -> int:
        return int(self._SyncObj__raftMatchIndex.get(self._members[peer], 0))

    def no_op_index(self) -> int | None:
        """The entry with which the present leader opened its term."""
        return self._SyncObj__noopIDx  # type: ignore[no-any-return]

    def last_response(self, peer: str) -> float:
        return float(self._SyncObj__lastResponseTime.get(self._members[peer], float("-inf")))

    def next_append(self) -> float:
        return float(self._SyncObj__newAppendEntriesTime)

    def postpone_append(self, until: float) -> None:
        self._SyncObj__newAppendEntriesTime = until

    # -- what the replica does ---------------------------------------------------------------------------
    def submit(self, entry: bytes, callback: Callable[[object, int], None]) -> None:
        self._applyCommand(REGULAR + entry, callback)

    def receive(self, peer: str, message: dict[str, Any]) -> None:
        self._wire.received(self._members[peer], message)

    def connected(self, peer: str) -> None:
        self._wire.connected(self._members[peer])

    def disconnected(self, peer: str) -> None:
        self._wire.disconnected(self._members[peer])

    def transfer_to(self, peer: str) -> bool:
        """Asks ``peer`` to campaign now. False: it does not hold our whole log yet."""
        answers: list[int] = []
        self.transferLeadership(self._members[peer], lambda _result, error: answers.append(error))
        return answers == [FAIL_REASON.SUCCESS]

    def forget_callbacks(self) -> None:
        """A deposed leader's callers are answered by the replica; the library would keep them for ever."""
        self._SyncObj__commandsWaitingCommit.clear()
