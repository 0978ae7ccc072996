"""Certificates and keys on disk: written whole or not at all, keys mode 0600. The only file of pki/ that touches disk.

ca.crt   ca.key (masters)   tls.crt   tls.key
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from orchestr8.pki import ca


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its key and the CA that others' certificates must come from. All PEM."""

    ca_pem: bytes
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)


def save_authority(directory: Path, authority: ca.Authority) -> None:
    write_private(directory / "ca.key", authority.key_pem)
    write_private(directory / "ca.crt", authority.certificate_pem, mode=0o644)


def load_authority(directory: Path) -> ca.Authority | None:
    """None if this host has no CA. Raises CorruptState if what is there cannot be one."""
    key, certificate = directory / "ca.key", directory / "ca.crt"
    if not (key.exists() and certificate.exists()):
        return None
    return ca.load(certificate.read_bytes(), key.read_bytes())


def save_identity(directory: Path, identity: Identity) -> None:
    """The certificate last: an identity is complete when it is there."""
    write_private(directory / "tls.key", identity.key_pem)
    write_private(directory / "ca.crt", identity.ca_pem, mode=0o644)
    write_private(directory / "tls.crt", identity.certificate_pem, mode=0o644)


def load_identity(directory: Path) -> Identity | None:
    """None if this host has not joined yet."""
    paths = [directory / "ca.crt", directory / "tls.crt", directory / "tls.key"]
    if not all(path.exists() for path in paths):
        return None
    ca_pem, certificate_pem, key_pem = (path.read_bytes() for path in paths)
    return Identity(ca_pem, certificate_pem, key_pem)


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write-temporary, fsync, rename, fsync of the folder: a power cut leaves the old file or the new one.

    What root writes belongs to the owner of the folder it lies in: a master that runs as a user of its own must be able
    to read the token that `orchestr8 token`, run by root, put into its state directory.
    """
    # Who may read the file must be able to reach it.
    _make_folder(path.parent, mode=0o700 if mode == 0o600 else 0o755)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    # Root may write where another user owns the folder: never through a link that is there already.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(descriptor, mode)
        _give_to_owner_of(path.parent, descriptor)
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _make_folder(folder: Path, mode: int) -> None:
    """A folder that is there keeps its mode and owner; whatever root's umask is, others can pass those above it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent, 0o755)
    folder.mkdir(exist_ok=True)
    folder.chmod(mode)
    _give_to_owner_of(folder.parent, folder)


def _give_to_owner_of(folder: Path, made: Path | int) -> None:
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(made, owner.st_uid, owner.st_gid)
