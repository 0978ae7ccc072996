"""Files of pods on a real disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestr8.worker.agent.node.files import Files
from orchestr8.worker.agent.node.host import VolumeFailed, VolumeFile


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    """Its memory is a folder of /dev/shm, so that nothing has to be mounted."""
    memory = Path("/dev/shm") / f"orchestr8-test-{os.getpid()}"
    made = Files(tmp_path / "state", memory)
    made.prepare()
    yield made
    made.remove_pod("uid")
    memory.rmdir()


def test_what_is_saved_is_read_back_and_only_root_may_read_it(files: Files, tmp_path: Path) -> None:
    assert files.load("assignments") is None
    files.save("assignments", b"one")
    files.save("assignments", b"two")
    assert files.load("assignments") == b"two"
    assert (tmp_path / "state" / "assignments").stat().st_mode & 0o777 == 0o600


def test_files_of_a_volume_change_all_at_once_and_old_ones_go(files: Files) -> None:
    first = {"a": VolumeFile(b"1", 0o644), "sub/b": VolumeFile(b"2", 0o400)}
    folder = Path(files.write_files("uid", "conf", first, False))
    assert (folder / "a").read_bytes() == b"1" and (folder / "sub/b").stat().st_mode & 0o777 == 0o400
    inode = (folder / "..data").lstat().st_ino
    assert files.write_files("uid", "conf", first, False) == str(folder)
    assert (folder / "..data").lstat().st_ino == inode, "the same files were written again"
    files.write_files("uid", "conf", {"a": VolumeFile(b"new", 0o644)}, False)
    assert (folder / "a").read_bytes() == b"new"
    assert sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("..")) == ["a"]
    assert len([entry for entry in folder.iterdir() if entry.name.startswith("..")]) == 2


def test_secrets_live_in_memory(files: Files) -> None:
    folder = files.write_files("uid", "key", {"token": VolumeFile(b"x", 0o400)}, True)
    assert folder.startswith("/dev/shm/")


def test_everything_of_a_pod_is_removed(files: Files) -> None:
    files.empty_dir("uid", "scratch", False, 0)
    files.write_files("uid", "key", {"token": VolumeFile(b"x", 0o400)}, True)
    files.write_pod_file("uid", "hosts", b"127.0.0.1 localhost\n")
    assert files.pods_with_files() == {"uid"}
    files.remove_pod("uid")
    files.remove_pod("uid")
    assert files.pods_with_files() == frozenset()


def test_an_empty_folder_keeps_what_is_in_it(files: Files) -> None:
    folder = Path(files.empty_dir("uid", "scratch", False, 0))
    (folder / "kept").write_text("x")
    assert files.empty_dir("uid", "scratch", False, 0) == str(folder) and (folder / "kept").exists()


def test_a_sub_path_is_made_and_a_symlink_out_of_the_volume_is_refused(files: Files) -> None:
    folder = files.empty_dir("uid", "scratch", False, 0)
    assert Path(files.sub_path(folder, "a/b")).is_dir()
    (Path(folder) / "out").symlink_to("/etc")
    for path in ("out", "out/passwd", "../x"):
        with pytest.raises(VolumeFailed, match="leads out"):
            files.sub_path(folder, path)


@pytest.mark.parametrize(
    ("kind", "exists", "allowed"),
    [("", False, True), ("Directory", False, False), ("DirectoryOrCreate", False, True), ("File", True, False)],
)
def test_host_paths_are_checked_by_their_type(
    kind: str, exists: bool, allowed: bool, files: Files, tmp_path: Path
) -> None:
    path = tmp_path / "there"
    if exists:
        path.mkdir()
    if allowed:
        files.host_path(str(path), kind)
        assert path.is_dir()
    else:
        with pytest.raises(VolumeFailed):
            files.host_path(str(path), kind)
