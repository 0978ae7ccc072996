"""Keeping certificates fresh without an operator: renewed at two thirds of their life while the daemon runs.

Every wait ends within an hour and looks at the clock again, so that a host whose clock was wrong, or that slept,
renews soon after.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import trio

from orchestr8.clock import Clock
from orchestr8.errors import DeadlineExceeded, OutcomeUnknown, TooManyRequests, Unavailable
from orchestr8.logs import get_logger
from orchestr8.pki import ca, certificates
from orchestr8.pki.files import Identity, load_identity, save_identity

_LONGEST_SLEEP_SECONDS = 3600.0
_RETRY_SECONDS = 600.0
# All nodes that joined on one day do not come back on one day: they spread over 5 of 90 days.
_JITTER = 5 / 90


def master_identity(
    directory: Path, authority: ca.Authority, name: str, addresses: Sequence[str], now: dt.datetime
) -> Identity:
    """What a master uses from now on: its identity on disk, or a new one if that is missing, due or does not fit.

    Called before listening: a master that was off for a year comes back by itself, because it holds the CA.
    """
    subject = certificates.master(name, addresses)
    kept = load_identity(directory)
    if kept is not None and kept.ca_pem == authority.certificate_pem:
        known = certificates.read(kept.certificate_pem)
        same = known.name == subject.name and set(known.addresses) == set(subject.addresses)
        if same and known.not_before <= now < known.renew_at:
            return kept
    key = ca.new_key()
    certificate_pem = certificates.issue(authority, key.public_key(), subject, now)
    identity = Identity(authority.certificate_pem, certificate_pem, ca.key_to_pem(key))
    save_identity(directory, identity)
    return identity


async def keep_fresh(
    identity: Identity,
    renew: Callable[[Identity], Awaitable[Identity]],
    use: Callable[[Identity], None],
    clock: Clock,
    source: random.Random,
) -> None:
    """For ever: when ``identity`` is due, ``renew`` it and ``use`` the new one (save it, give it to the network).

    ``renew`` may raise what an unreachable cluster raises; it is asked again ten minutes later.
    """
    log = get_logger()
    due = due_at(identity, source)
    while True:
        left_seconds = (due - clock.now()).total_seconds()
        if left_seconds > 0:
            await trio.sleep(min(left_seconds, _LONGEST_SLEEP_SECONDS))
            continue
        try:
            identity = await renew(identity)
        except (Unavailable, OutcomeUnknown, TooManyRequests, DeadlineExceeded) as error:
            log.warning("certificate not renewed yet", reason=error.message)
            await trio.sleep(_RETRY_SECONDS)
            continue
        if due_at(identity, source) <= clock.now():
            log.warning("the renewed certificate is due already: is this host's clock right?")
            await trio.sleep(_LONGEST_SLEEP_SECONDS)
        use(identity)
        due = due_at(identity, source)
        log.info("certificate renewed", until=certificates.read(identity.certificate_pem).not_after.isoformat())


def is_expired(identity: Identity, now: dt.datetime) -> bool:
    """Then ``join.renew_expired`` is the only way back in."""
    return now >= certificates.read(identity.certificate_pem).not_after


def due_at(identity: Identity, source: random.Random) -> dt.datetime:
    known = certificates.read(identity.certificate_pem)
    return known.renew_at + (known.not_after - known.not_before) * source.uniform(0, _JITTER)
