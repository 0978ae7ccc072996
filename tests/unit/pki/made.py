"""Certificates for tests."""

from __future__ import annotations

import datetime as dt

from orchestr8.pki import ca, certificates
from orchestr8.pki.files import Identity

NOW = dt.datetime(2024, 3, 1, 12, 0, tzinfo=dt.UTC)


def today() -> dt.datetime:
    """For certificates that a real handshake looks at: OpenSSL reads the host's clock."""
    return dt.datetime.now(dt.UTC)


def identity(authority: ca.Authority, subject: certificates.Subject, now: dt.datetime | None = None) -> Identity:
    key = ca.new_key()
    certificate_pem = certificates.issue(authority, key.public_key(), subject, now or today())
    return Identity(authority.certificate_pem, certificate_pem, ca.key_to_pem(key))
