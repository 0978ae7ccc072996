"""Where a master hands out certificates: the public methods ``pki.ca``, ``node.join`` and ``pki.renew``.

    pki.ca      {}                                             -> {ca_pem}
    node.join   {token_id, secret, name, role, csr_pem}        -> {certificate_pem, ca_pem, masters}
    pki.renew   {certificate_pem, csr_pem}                     -> {certificate_pem, ca_pem}

A master that joins also gets ``ca_key_pem`` and ``members``.
A use of a token is spent in one transaction on the replicated state, together with the check that no node of that name
exists: two masters cannot both accept the last use, and a token cannot take over a node. A master that joins before
the first quorum spends a token of bootstrap.py. All three are for callers without a certificate, so each try counts.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
import trio

from orchestr8.api import codec
from orchestr8.api.config import Secret
from orchestr8.api.node import Node
from orchestr8.clock import Clock
from orchestr8.errors import BadRequest, Conflict, CorruptState, NotFound, OutcomeUnknown, Unauthenticated, Unavailable
from orchestr8.logs import get_logger
from orchestr8.names import Names
from orchestr8.pki import ca, certificates, tokens
from orchestr8.pki.attempts import Attempts
from orchestr8.pki.bootstrap import BootstrapTokens
from orchestr8.rpc.service import NODES, Peer, Service
from orchestr8.store.command import ABSENT, Compare, Delete, Key, Put, Result, Txn
from orchestr8.store.view import View

EXPIRED_STILL_RENEWED = dt.timedelta(days=365)  # a node that was off for so long comes back without an operator
_TRIES_TO_SPEND = 5
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")


class Store(Protocol):
    """What the desk needs of raft.ReplicatedStore."""

    def view(self) -> View: ...
    async def propose(self, txn: Txn) -> Result: ...
    async def read_barrier(self) -> int: ...


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True):
    token_id: str
    secret: str
    name: str
    role: str
    csr_pem: bytes


class RenewRequest(msgspec.Struct, frozen=True, kw_only=True):
    certificate_pem: bytes
    csr_pem: bytes


class Desk:
    """``members``: name -> host:port of every master. ``bootstrap`` None: this master keeps no tokens of its own."""

    def __init__(
        self,
        authority: ca.Authority,
        members: Mapping[str, str],
        store: Store,
        clock: Clock,
        names: Names,
        bootstrap: BootstrapTokens | None = None,
    ) -> None:
        self._authority = authority
        self._members = members
        self._store = store
        self._clock = clock
        self._names = names
        self._bootstrap = bootstrap
        self._attempts = Attempts()
        self._log = get_logger()

    def service(self) -> Service:
        methods = {"pki.ca": self.hand_out_ca, "node.join": self.join, "pki.renew": self.renew}
        return Service(methods, public=methods)

    async def hand_out_ca(self, peer: Peer, params: Any) -> dict[str, Any]:
        return {"ca_pem": self._authority.certificate_pem}

    async def join(self, peer: Peer, params: Any) -> dict[str, Any]:
        host = peer.address.rpartition(":")[0] or peer.address
        self._attempts.begin(host, self._clock.monotonic_seconds())
        wanted = msgspec.convert(params, JoinRequest)
        try:
            subject, key = self._read(wanted)
            await self._spend(wanted)
        except (Unauthenticated, BadRequest, Conflict) as error:
            self._log.warning("join refused", address=host, name=wanted.name, role=wanted.role, reason=error.message)
            raise
        self._attempts.forgive(host)
        certificate_pem = certificates.issue(self._authority, key, subject, self._clock.now())
        self._log.info("joined", address=host, name=wanted.name, role=wanted.role)
        answer: dict[str, Any] = {
            "certificate_pem": certificate_pem,
            "ca_pem": self._authority.certificate_pem,
            "masters": list(self._members.values()),
        }
        if wanted.role == "master":
            answer["ca_key_pem"] = self._authority.key_pem
            answer["members"] = dict(self._members)
        return answer

    async def renew(self, peer: Peer, params: Any) -> dict[str, Any]:
        """For nodes only: a master renews its own. The certificate may have ended, the node may not."""
        host = peer.address.rpartition(":")[0] or peer.address
        self._attempts.begin(host, self._clock.monotonic_seconds())
        wanted = msgspec.convert(params, RenewRequest)
        now = self._clock.now()
        try:
            old_certificate = ca.certificate_from_pem(wanted.certificate_pem)
        except CorruptState as error:
            raise BadRequest(error.message) from error
        ca.check_issued(self._authority.certificate, old_certificate)
        old = certificates.read(wanted.certificate_pem)
        request = certificates.read_request(wanted.csr_pem)
        if request.public_key != old_certificate.public_key():
            raise Unauthenticated("csr_pem must be signed by the key of certificate_pem")
        if old.organisation != NODES:
            raise Unauthenticated("only nodes renew here: a master renews its own certificate")
        if now >= old.not_after + EXPIRED_STILL_RENEWED:
            raise Unauthenticated("this certificate ended more than a year ago: join again with a new token")
        name = old.name.rpartition(":")[2]
        await self._store.read_barrier()
        if self._store.view().get(Node, "", name) is None:
            raise Unauthenticated(f"there is no node {name} any more: join again with a new token")
        self._attempts.forgive(host)
        certificate_pem = certificates.issue(self._authority, request.public_key, certificates.node(name), now)
        return {"certificate_pem": certificate_pem, "ca_pem": self._authority.certificate_pem}

    def _read(self, wanted: JoinRequest) -> tuple[certificates.Subject, ca.PublicKey]:
        if wanted.role not in tokens.ROLES:
            raise BadRequest(f"role is {wanted.role!r}: use one of {', '.join(tokens.ROLES)}")
        if not _NAME.fullmatch(wanted.name):
            raise BadRequest(f"name is {wanted.name!r}: use lower-case letters, digits and '-', as in a host name")
        if wanted.role == "master" and wanted.name not in self._members:
            known = ", ".join(sorted(self._members))
            raise BadRequest(f"[members] of this cluster does not list a master {wanted.name!r} (it has {known})")
        request = certificates.read_request(wanted.csr_pem)
        if wanted.role == "worker":
            return certificates.node(wanted.name), request.public_key
        return certificates.master(wanted.name, request.addresses), request.public_key

    async def _spend(self, wanted: JoinRequest) -> None:
        local = self._bootstrap if wanted.role == "master" else None
        if local is not None and await trio.to_thread.run_sync(local.knows, wanted.token_id):
            now = self._clock.now()
            await trio.to_thread.run_sync(local.spend, wanted.token_id, wanted.secret, wanted.name, now)
            return
        key = Key("Secret", tokens.NAMESPACE, tokens.object_name(wanted.token_id))
        for _ in range(_TRIES_TO_SPEND):
            await self._store.read_barrier()
            if wanted.role == "worker" and self._store.view().get(Node, "", wanted.name) is not None:
                raise Conflict(
                    f"there is a node {wanted.name} already: choose another name,"
                    f" or remove the old one first with `orchestr8 delete node {wanted.name}`"
                )
            try:
                await self._propose(self._spending(key, wanted))
            except (Conflict, NotFound):
                continue  # another joiner was first: look again
            return
        raise Unavailable("too many are joining with this token at once: try again")

    def _spending(self, key: Key, wanted: JoinRequest) -> Txn:
        """One use of the token and, for a worker, that no node has this name: all or nothing."""
        kept = self._store.view().stored(*key)
        secret = kept.obj if kept is not None and isinstance(kept.obj, Secret) else None
        left = tokens.spend(secret, wanted.secret, wanted.role, self._clock.now())
        assert kept is not None
        compares = [Compare(key, kept.revision)]
        if wanted.role == "worker":
            compares.append(Compare(Key("Node", "", wanted.name), ABSENT))
        write = Delete(key) if left is None else Put(key, codec.encode(left))
        return Txn(f"join-{self._names.uid()}", tuple(compares), (write,))

    async def _propose(self, txn: Txn) -> None:
        try:
            await self._store.propose(txn)
        except OutcomeUnknown:
            await self._store.propose(txn)  # the same request id: applied once, answered with its first result
