"""Bearer tokens: a JWT (RFC 7519, ES256) signed with the CA's key, which every master holds. Pure.

A token names a user and groups and ends at its ``exp``. ``verify`` takes only what ``sign`` makes: one algorithm, one
issuer, a bounded length, so that nothing in a token chooses how it is checked.
"""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509 import Certificate

from orchestr8.errors import Unauthenticated
from orchestr8.pki.ca import Authority

_ISSUER = "orchestr8"
_MOST_CHARS = 4_096
_HALF_BYTES = 32


@dataclass(frozen=True, slots=True)
class Bearer:
    user: str
    groups: tuple[str, ...]


class _Header(msgspec.Struct, frozen=True):
    alg: str
    typ: str = "JWT"


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    groups: tuple[str, ...]
    iat: int
    exp: int


def service_account(namespace: str, name: str) -> Bearer:
    """User and groups as in Kubernetes (Authentication, service account tokens)."""
    return Bearer(
        f"system:serviceaccount:{namespace}:{name}",
        ("system:serviceaccounts", f"system:serviceaccounts:{namespace}"),
    )


def sign(authority: Authority, bearer: Bearer, now: dt.datetime, life: dt.timedelta) -> str:
    issued = int(now.timestamp())
    claims = _Claims(_ISSUER, bearer.user, bearer.groups, issued, issued + int(life.total_seconds()))
    signed = f"{_encode(msgspec.json.encode(_Header('ES256')))}.{_encode(msgspec.json.encode(claims))}"
    r, s = decode_dss_signature(authority.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{_encode(r.to_bytes(_HALF_BYTES, 'big') + s.to_bytes(_HALF_BYTES, 'big'))}"


def verify(ca: Certificate, text: str, now: dt.datetime) -> Bearer:
    """Raises Unauthenticated for anything but a token that this cluster signed and that has not ended."""
    signed, _, signature = text.rpartition(".")
    if len(text) > _MOST_CHARS or signed.count(".") != 1:
        raise Unauthenticated("the bearer token is not one of this cluster")
    key = ca.public_key()
    try:
        raw = _decode(signature)
        if len(raw) != 2 * _HALF_BYTES or not isinstance(key, ec.EllipticCurvePublicKey):
            raise Unauthenticated("the bearer token is not one of this cluster")
        r, s = (int.from_bytes(half, "big") for half in (raw[:_HALF_BYTES], raw[_HALF_BYTES:]))
        key.verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256()))
        head, _, body = signed.partition(".")
        header = msgspec.json.decode(_decode(head), type=_Header)
        claims = msgspec.json.decode(_decode(body), type=_Claims)
    except (InvalidSignature, ValueError, msgspec.MsgspecError) as error:
        raise Unauthenticated("the bearer token is not one of this cluster") from error
    if header.alg != "ES256" or claims.iss != _ISSUER:
        raise Unauthenticated("the bearer token is not one of this cluster")
    if now.timestamp() >= claims.exp:
        raise Unauthenticated("the bearer token has expired: ask for a new one")
    return Bearer(claims.sub, claims.groups)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)
