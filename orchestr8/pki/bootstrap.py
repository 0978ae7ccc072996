"""Tokens for the other masters before there is a quorum to keep them: one file per token on the first master.

A token is for one named master, once, for at most an hour. It is spent by removing its file: whoever removes it has
it, also when the process is killed and started again in between. Blocking file access: call it in a thread.
"""

from __future__ import annotations

import datetime as dt
import hmac
import random
from pathlib import Path

import msgspec

from orchestr8.errors import BadRequest, Unauthenticated
from orchestr8.pki import tokens
from orchestr8.pki.files import write_private

_SHORTEST = dt.timedelta(minutes=15)
_LONGEST = dt.timedelta(hours=1)


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    secret_sha256: str
    expires: dt.datetime


class BootstrapTokens:
    """The tokens below ``directory``; also used by `orchestr8 token` on the first master's host."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def create(
        self, name: str, *, source: random.Random, ca_sha256: str, now: dt.datetime, ttl: dt.timedelta = _LONGEST
    ) -> tokens.JoinToken:
        """A token with which the master ``name`` of [members] may fetch its certificate and the CA once."""
        if not _SHORTEST <= ttl <= _LONGEST:
            raise BadRequest("a token for a master lives from 15 minutes to 1 hour")
        token = tokens.new(source, ca_sha256)
        kept = _Kept(name=name, secret_sha256=tokens.secret_sha256(token.secret), expires=now + ttl)
        write_private(self._path(token.id), msgspec.json.encode(kept))
        return token

    def knows(self, token_id: str) -> bool:
        return self._path(token_id).is_file()

    def spend(self, token_id: str, secret: str, name: str, now: dt.datetime) -> None:
        """Raises Unauthenticated unless this is the token of ``name``; then it is gone for ever."""
        path = self._path(token_id)
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        except (OSError, msgspec.MsgspecError):
            raise Unauthenticated("unknown or used token") from None
        if not hmac.compare_digest(kept.secret_sha256, tokens.secret_sha256(secret)):
            raise Unauthenticated("unknown or used token")
        if now >= kept.expires:
            path.unlink(missing_ok=True)
            raise Unauthenticated("this token has expired: make a new one on the first master")
        if name != kept.name:
            raise Unauthenticated(f"this token is for master {kept.name}, not for {name}")
        try:
            path.unlink()
        except FileNotFoundError:
            raise Unauthenticated("unknown or used token") from None

    def _path(self, token_id: str) -> Path:
        # The id comes from a stranger: it must not lead out of the folder.
        return self._directory / (f"{token_id}.json" if token_id.isalnum() else ".no-such-token")
