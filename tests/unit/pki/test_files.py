"""Files on disk: whole, private, and owned by whoever has to read them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestr8.pki.files import write_private

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
OTHER = 65534


@as_root
def test_what_root_writes_belongs_to_the_owner_of_the_state_directory(tmp_path: Path) -> None:
    os.chown(tmp_path, OTHER, OTHER)
    write_private(tmp_path / "bootstrap-tokens" / "a.json", b"{}")
    for made in (tmp_path / "bootstrap-tokens", tmp_path / "bootstrap-tokens" / "a.json"):
        assert (made.stat().st_uid, made.stat().st_gid) == (OTHER, OTHER)


def test_a_private_file_is_private_and_the_folders_above_its_own_can_be_passed(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_private(tmp_path / "orchestr8" / "master" / "pki" / "ca.key", b"secret")
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in sorted((tmp_path / "orchestr8").rglob("*"))]
    assert (tmp_path / "orchestr8").stat().st_mode & 0o777 == 0o755
    assert modes == [0o755, 0o700, 0o600]


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / ".tls.key.new").symlink_to(victim)
    write_private(tmp_path / "tls.key", b"secret")
    assert victim.read_text() == "untouched"
    assert (tmp_path / "tls.key").read_bytes() == b"secret"
    assert not (tmp_path / "tls.key").is_symlink()
