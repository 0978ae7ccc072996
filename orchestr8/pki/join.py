"""The joiner's side: from a one-line token to an identity.

First an unverified connection fetches the cluster's CA; unless its hash is the token's, nothing of ours is sent. Then
a verified connection carries the secret and a request for a certificate whose key never leaves this host.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from orchestr8.errors import RemoteProtocolError, Unauthenticated, Unavailable
from orchestr8.pki import ca, certificates, contexts
from orchestr8.pki.files import Identity
from orchestr8.pki.tokens import JoinToken
from orchestr8.rpc.client import Connection, connect
from orchestr8.rpc.network import TlsNetwork


@dataclass(frozen=True, slots=True)
class Joined:
    """``masters``: RPC addresses to dial from now on. ``authority`` and ``members`` (name -> address) for a master."""

    identity: Identity
    masters: tuple[str, ...]
    members: dict[str, str]
    authority: ca.Authority | None = field(default=None, repr=False)


async def join_as_worker(addresses: Sequence[str], token: JoinToken, name: str) -> Joined:
    """Tries the masters (RPC ``host:port``) in turn. Raises Unauthenticated, Conflict, TooManyRequests, Unavailable."""
    return await _join(addresses, token, "worker", name, certificates.node(name))


async def join_as_master(addresses: Sequence[str], token: JoinToken, name: str, own: Sequence[str]) -> Joined:
    """``own``: the addresses and names by which this master will be called."""
    return await _join(addresses, token, "master", name, certificates.master(name, own))


async def renew(connection: Connection, identity: Identity) -> Identity:
    """A node's identity with a fresh certificate for the same key."""
    return _renewed(identity, await connection.call("pki.renew", _renewal(identity)))


async def renew_expired(addresses: Sequence[str], identity: Identity) -> Identity:
    """For a node whose certificate ended while it was off: asks without it, and proves that it has its key."""
    network = TlsNetwork(client=contexts.rpc_client(identity.ca_pem))
    return _renewed(identity, await _ask(addresses, network, "pki.renew", _renewal(identity)))


class _CaAnswer(msgspec.Struct, frozen=True):
    ca_pem: bytes


class _JoinAnswer(msgspec.Struct, frozen=True, kw_only=True):
    certificate_pem: bytes
    ca_pem: bytes
    masters: tuple[str, ...]
    ca_key_pem: bytes | None = None
    members: dict[str, str] = {}


class _RenewAnswer(msgspec.Struct, frozen=True, kw_only=True):
    certificate_pem: bytes
    ca_pem: bytes


async def _join(
    addresses: Sequence[str], token: JoinToken, role: str, name: str, subject: certificates.Subject
) -> Joined:
    stranger = TlsNetwork(client=contexts.rpc_client_unverified())
    told = _read(await _ask(addresses, stranger, "pki.ca", None), _CaAnswer)
    if not hmac.compare_digest(ca.spki_sha256(told.ca_pem), token.ca_sha256):
        raise Unauthenticated(
            f"{', '.join(addresses)} is not the cluster of this token: its CA is another one."
            " Nothing was sent. Check the address, or ask for a token of that cluster"
        )
    key = ca.new_key()
    params = {
        "token_id": token.id,
        "secret": token.secret,
        "name": name,
        "role": role,
        "csr_pem": certificates.signing_request(key, subject),
    }
    network = TlsNetwork(client=contexts.rpc_client(told.ca_pem))
    answer = _read(await _ask(addresses, network, "node.join", params), _JoinAnswer)
    identity = Identity(told.ca_pem, _own(answer.certificate_pem, key), ca.key_to_pem(key))
    authority = ca.load(told.ca_pem, answer.ca_key_pem) if answer.ca_key_pem is not None else None
    return Joined(identity, answer.masters, answer.members, authority)


async def _ask(addresses: Sequence[str], network: TlsNetwork, method: str, params: Any) -> Any:
    """The answer of the first address that can be reached."""
    problems = []
    for address in addresses:
        try:
            async with connect(network, address) as connection:
                return await connection.call(method, params)
        except Unavailable as error:
            problems.append(error.message)
    raise Unavailable("; ".join(problems) or "no address of a master was given")


def _renewal(identity: Identity) -> dict[str, bytes]:
    old = certificates.read(identity.certificate_pem)
    key = ca.key_from_pem(identity.key_pem)
    csr_pem = certificates.signing_request(key, certificates.Subject(old.name, old.organisation))
    return {"certificate_pem": identity.certificate_pem, "csr_pem": csr_pem}


def _renewed(identity: Identity, value: Any) -> Identity:
    answer = _read(value, _RenewAnswer)
    certificate_pem = _own(answer.certificate_pem, ca.key_from_pem(identity.key_pem))
    return Identity(answer.ca_pem, certificate_pem, identity.key_pem)


def _own(certificate_pem: bytes, key: ca.PrivateKey) -> bytes:
    if ca.certificate_from_pem(certificate_pem).public_key() != key.public_key():
        raise RemoteProtocolError("the master answered with a certificate for another key")
    return certificate_pem


_Answer = TypeVar("_Answer", _CaAnswer, _JoinAnswer, _RenewAnswer)


def _read(value: Any, shape: type[_Answer]) -> _Answer:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(f"the master's answer is not understood: {error}") from error
