"""Join tokens: ``o8.<id>.<secret>.<sha256 of the CA's public key>``. Pure.

The hash lets the joiner know the cluster before it sends anything; the secret lets the cluster know the joiner. The
cluster keeps only the secret's hash, in a Secret of type ``bootstrap.kubernetes.io/token`` in kube-system, with a role,
an end and a number of uses. Spending one use is a compare-and-write of that Secret, so that two masters cannot both
accept the last one (desk.py).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import random
import re
from dataclasses import dataclass, field

import msgspec

from orchestr8.api.config import Secret
from orchestr8.api.meta import ObjectMeta
from orchestr8.errors import BadRequest, Unauthenticated

NAMESPACE = "kube-system"
SECRET_TYPE = "bootstrap.kubernetes.io/token"
WORKER_TTL = dt.timedelta(hours=1)
MASTER_TTL = dt.timedelta(minutes=15)
ROLES = ("worker", "master")

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_ID_CHARS = 6
_SECRET_CHARS = 26  # 134 bits
_PATTERN = re.compile(rf"o8\.([a-z0-9]{{{_ID_CHARS}}})\.([a-z0-9]{{{_SECRET_CHARS}}})\.([0-9a-f]{{64}})")


@dataclass(frozen=True, slots=True)
class JoinToken:
    """``text()`` is what people paste; the secret is in no ``repr``."""

    id: str
    secret: str = field(repr=False)
    ca_sha256: str

    def text(self) -> str:
        return f"o8.{self.id}.{self.secret}.{self.ca_sha256}"


def new(source: random.Random, ca_sha256: str) -> JoinToken:
    """``source``: the operating system's in a daemon."""
    chars = source.choices(_ALPHABET, k=_ID_CHARS + _SECRET_CHARS)
    return JoinToken("".join(chars[:_ID_CHARS]), "".join(chars[_ID_CHARS:]), ca_sha256)


def parse(text: str) -> JoinToken:
    """Raises BadRequest, without repeating what may be half a secret."""
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise BadRequest("this is not a join token: it looks like o8.<id>.<secret>.<hash>; was it pasted whole?")
    return JoinToken(*match.groups())


def secret_sha256(secret: str) -> str:
    """Hex. A random secret of 134 bits needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def object_name(token_id: str) -> str:
    return f"bootstrap-token-{token_id}"


def stored(token: JoinToken, *, role: str, uses: int, expires: dt.datetime) -> Secret:
    """The Secret that the cluster keeps. ``role``: worker or master."""
    if role not in ROLES or uses < 1:
        raise BadRequest(f"a join token is for one of {', '.join(ROLES)} and has at least one use")
    return Secret(
        metadata=ObjectMeta(name=object_name(token.id), namespace=NAMESPACE),
        type=SECRET_TYPE,
        data={
            "token-id": token.id.encode(),
            "secret-sha256": secret_sha256(token.secret).encode(),
            "role": role.encode(),
            "uses": str(uses).encode(),
            "expiration": expires.isoformat(timespec="seconds").encode(),
        },
    )


def spend(kept: Secret | None, secret: str, role: str, now: dt.datetime) -> Secret | None:
    """What remains of a token after one use: the Secret to write, None to delete it. Raises Unauthenticated.

    Every refusal reads the same to somebody who guesses; the log of the master says more.
    """
    data = kept.data if kept is not None and kept.type == SECRET_TYPE else {}
    known = data.get("secret-sha256", b"")
    good = hmac.compare_digest(known, secret_sha256(secret).encode())
    if not good:
        raise Unauthenticated("unknown or used token: make a new one with `orchestr8 token create`")
    try:
        expires = dt.datetime.fromisoformat(data["expiration"].decode())
        uses = int(data["uses"])
    except (KeyError, ValueError) as error:
        raise Unauthenticated("this token's Secret has been changed: make a new token") from error
    if expires.tzinfo is None or now >= expires:
        raise Unauthenticated("this token has expired: make a new one with `orchestr8 token create`")
    if data.get("role", b"").decode(errors="replace") != role:
        raise Unauthenticated(f"this token is not for a {role}: make one with `orchestr8 token create --role {role}`")
    if uses <= 1 or kept is None:
        return None
    return msgspec.structs.replace(kept, data={**data, "uses": str(uses - 1).encode()})


def is_expired(kept: Secret, now: dt.datetime) -> bool:
    """Whether the Secret may be removed by whoever clears up."""
    try:
        return now >= dt.datetime.fromisoformat(kept.data["expiration"].decode())
    except (KeyError, ValueError, TypeError):
        return False
