"""The replicated store as every other room sees it: propose from any master, read what is applied here, watch, lead.

A write goes to the leader, in this process or over rpc, and is answered when it is applied here. Whatever happens on
the way (no leader, a new one, a lost connection) is tried again until the caller's deadline; the request id makes that
safe. At the deadline the caller learns whether its write may still happen (OutcomeUnknown) or will not (Unavailable).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

import msgspec
import trio

from orchestr8 import limits
from orchestr8.errors import (
    ConfigError,
    DeadlineExceeded,
    LimitExceeded,
    NotLeader,
    OutcomeUnknown,
    TooManyRequests,
    Unavailable,
    from_code,
)
from orchestr8.raft import forward, transfer, transport
from orchestr8.raft.disk import Disk
from orchestr8.raft.driver import Driver
from orchestr8.raft.here import ONE_COMMAND, Here
from orchestr8.raft.leadership import Leadership, Tenures
from orchestr8.raft.recovery import recover, settle
from orchestr8.raft.replica import Replica
from orchestr8.raft.watch import Watch
from orchestr8.rpc.network import Network
from orchestr8.rpc.service import MASTERS, Service
from orchestr8.store.command import Claim, Command, Result, Txn, encode_batch
from orchestr8.store.view import View

BARRIER = "raft.barrier"
_ANSWER_SECONDS = 0.05  # kept back from the caller's deadline, so that it gets our answer and not its own timeout
_RETRY_SECONDS = 0.25  # at the latest; a change of leader or link is noticed at once
_TRANSFER_POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class RaftSettings:
    """``members``: all masters by name, this one included, each with the ``host:port`` of its rpc server."""

    node_id: str
    members: dict[str, str]


@dataclass(frozen=True, slots=True)
class RaftStatus:
    """What `orchestr8 status` shows of one master. Ages in seconds; ``disk_error`` "" means the journal is written."""

    node_id: str
    role: str
    leader: str | None
    term: int
    commit_index: int
    applied_index: int
    last_index: int
    durable_index: int
    snapshot_index: int
    revision: int
    claim: int
    members: dict[str, str]
    connected: tuple[str, ...]
    last_contact_seconds: float | None
    disk_error: str


class ReplicatedStore:
    """Made by ``open_store``."""

    def __init__(self, settings: RaftSettings, driver: Driver, links: transport.Links) -> None:
        self._settings = settings
        self._driver = driver
        self._links = links
        self.here = Here(settings.node_id, driver, links)
        self._forwarder = forward.Forwarder(links, lambda: driver.replica.leader)
        self._tenures = Tenures(settings.node_id, self._serving_term, self._claim_here, self.propose, driver.changed)

    # -- writing -----------------------------------------------------------------------------------------------
    async def propose(self, txn: Txn) -> Result:
        """Answers when ``txn`` is applied here; the deadline is the caller's cancel scope (at most
        limits.RPC_CALL_SECONDS_MAX).

        Raises what the state machine refused it with (Conflict, AlreadyExists, NotFound, Invalid, LimitExceeded),
        TooManyRequests at once when limits.PROPOSALS_IN_FLIGHT are under way, Unavailable when nothing happened by the
        deadline, OutcomeUnknown when it may have. Without a request id nothing is tried twice.
        """
        command = _encode(txn)
        with self.here.slots(1):
            result = await self._until_applied(command, repeatable=bool(txn.request_id))
        if result.error:
            raise from_code(result.error, result.message)
        return result

    async def _until_applied(self, command: bytes, *, repeatable: bool) -> Result:
        maybe_applied = under_way = False
        with _until_deadline():
            while True:
                under_way, asked = True, self._driver.replica.leader
                try:
                    return await self._attempt(command)
                except (OutcomeUnknown, DeadlineExceeded) as error:
                    maybe_applied = True
                    if not repeatable:
                        raise OutcomeUnknown(error.message) from error
                except Unavailable:
                    pass  # no leader, or not this one: nothing was done
                except TooManyRequests:
                    if not maybe_applied:
                        raise
                under_way = False
                if self._driver.replica.leader in (None, asked):
                    await self._wait_for_change()
        if maybe_applied or under_way:
            raise OutcomeUnknown("the deadline passed before the write was confirmed: read, or repeat the same request")
        raise Unavailable(f"no leader of the store can be reached from {self._settings.node_id}: nothing was done")

    async def _attempt(self, command: bytes) -> Result:
        if self._driver.replica.leads:
            return (await self.here.commit(command))[1]
        index, result = await self._forwarder.propose(command)
        await self._driver.applied.wait(index)
        return result

    # -- reading -----------------------------------------------------------------------------------------------
    def view(self) -> View:
        """What is applied here, now. Use it without an await in between."""
        return self._driver.replica.state.view()

    @property
    def revision(self) -> int:
        return self._driver.replica.state.revision

    def digest(self) -> str:
        """Equal on all masters at an equal applied index."""
        return self._driver.replica.state.digest()

    async def read_barrier(self) -> int:
        """After it, ``view`` shows everything that was acknowledged anywhere before it was called.

        Returns the revision reached. Raises Unavailable when no leader confirmed it by the caller's deadline.
        """
        with _until_deadline():
            while True:
                asked = self._driver.replica.leader
                try:
                    index = await self._safe_index()
                except (Unavailable, OutcomeUnknown, DeadlineExceeded):
                    if self._driver.replica.leader in (None, asked):
                        await self._wait_for_change()
                    continue
                await self._driver.applied.wait(index)
                return self.revision
        raise Unavailable(f"no leader of the store can be reached from {self._settings.node_id}: reads may be old")

    async def _safe_index(self) -> int:
        if self._driver.replica.leads:
            return await self.here.barrier()
        return msgspec.convert(await self._forwarder.ask(BARRIER, None), int)

    @asynccontextmanager
    async def watch(self, since_revision: int) -> AsyncIterator[Watch]:
        """Changes after ``since_revision``, in lists; the iteration raises Expired when some are no longer known."""
        yield Watch(since_revision, lambda: self._driver.replica.state, self._driver.advanced)

    # -- leading -----------------------------------------------------------------------------------------------
    async def while_leading(self, work: Callable[[Leadership], Awaitable[None]]) -> None:
        """Runs ``work`` once in each tenure of this master, in a scope that ends with it. Never returns."""
        await self._tenures.while_leading(work)

    @property
    def leads(self) -> bool:
        """This master leads and has applied all that was acknowledged before its term."""
        return self._driver.replica.serves

    async def transfer_leadership(self) -> bool:
        """For a planned stop: the peer with the newest log leads next. False if this master still leads after 1 s."""
        driver = self._driver
        driver.handing_over = True
        try:
            with trio.move_on_after(limits.ELECTION_SECONDS_MIN):
                while driver.replica.leads:
                    if driver.replica.transfer() is not None:
                        driver.wake()
                        with trio.move_on_after(limits.APPEND_PERIOD_SECONDS):
                            await driver.changed.wait()
                    else:
                        await trio.sleep(_TRANSFER_POLL_SECONDS)  # acknowledgements are still on their way
        finally:
            driver.handing_over = False
            driver.wake()
        return not driver.replica.leads

    def status(self) -> RaftStatus:
        replica, driver = self._driver.replica, self._driver
        core = replica.core
        contact: float | None = None
        if replica.leads:
            contact = 0.0
        elif replica.election.heard > float("-inf"):
            contact = trio.current_time() - replica.election.heard
        return RaftStatus(
            node_id=self._settings.node_id,
            role="leader" if replica.leads else "candidate" if core.is_candidate() else "follower",
            leader=replica.leader,
            term=replica.term,
            commit_index=core.commit_index,
            applied_index=replica.applied_index,
            last_index=replica.journal.last_index,
            durable_index=replica.journal.durable_index,
            snapshot_index=driver.snapshot.index if driver.snapshot is not None else 0,
            revision=self.revision,
            claim=replica.state.claim,
            members=dict(self._settings.members),
            connected=tuple(sorted(replica.connected)),
            last_contact_seconds=contact,
            disk_error=driver.disk_error,
        )

    # -- within ------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        self._driver.on_change = self._notice_change
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tenures.run)
            nursery.start_soon(self._forwarder.run)

    def _serving_term(self) -> int | None:
        replica = self._driver.replica
        return replica.term if replica.serves else None

    async def _claim_here(self, claim: Claim) -> Result | None:
        try:
            return (await self.here.commit(_encode(claim)))[1]
        except (NotLeader, OutcomeUnknown):
            return None

    def _notice_change(self) -> None:
        """Runs in the round in which role or leader changed."""
        self._tenures.notice()
        self._forwarder.notice_change()

    async def _wait_for_change(self) -> None:
        with trio.move_on_after(_RETRY_SECONDS):
            await self._driver.changed.wait()


def _encode(command: Command) -> bytes:
    """One command as it stands in a batch."""
    encoded = encode_batch([command])[len(ONE_COMMAND) :]
    if len(encoded) > limits.TXN_BYTES:
        raise LimitExceeded(f"a transaction of {len(encoded)} bytes: at most {limits.TXN_BYTES}")
    return encoded


def _until_deadline() -> trio.CancelScope:
    """Ends a little before the caller's own scope does, so that the caller gets an answer and not a timeout."""
    seconds = trio.current_effective_deadline() - trio.current_time()
    seconds = min(seconds, limits.RPC_CALL_SECONDS_MAX)
    return trio.move_on_after(max(0.0, seconds - min(_ANSWER_SECONDS, seconds / 10)))


@asynccontextmanager
async def open_store(
    settings: RaftSettings, network: Network, disk: Disk, random: Random, service: Service
) -> AsyncIterator[ReplicatedStore]:
    """One master's share of the store, for the length of the block.

    What the other masters ask of it is put into ``service``: serve that at this master's address. Raises CorruptState
    when the files in ``disk`` cannot be trusted, ConfigError when they belong to another master or the settings do not
    name this one; from the block, whatever ends the replica (a failed fsync, a broken invariant).
    """
    me = settings.node_id
    if me not in settings.members:
        raise ConfigError(f"raft: node_id {me!r} is not among the members {sorted(settings.members)}")
    found = await recover(disk, me)
    if found.journal.segment == 0:
        await settle(disk, found.journal, me)
    members = tuple(sorted(settings.members))
    replica = Replica(me, members, found.journal, found.state, found.applied_index, random.uniform, trio.current_time())
    driver = Driver(replica, disk, members, found.snapshot)
    links = transport.Links(me, settings.members, network, driver, random)
    driver.send = links.send
    driver.send_snapshot = transfer.Sender(driver, links).start
    store = ReplicatedStore(settings, driver, links)
    service.include(
        Service(
            methods={forward.PROPOSE: store.here.serve_propose, BARRIER: store.here.serve_barrier},
            streams={transport.STREAM: links.serve, transfer.STREAM: transfer.Receiver(driver, links).serve},
            roles=(MASTERS,),
        )
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.run)
        nursery.start_soon(links.run)
        nursery.start_soon(store.run)
        try:
            yield store
        finally:
            nursery.cancel_scope.cancel()
