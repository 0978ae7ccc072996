"""The wheel that `pip install .` makes: the command, and the units that `orchestr8 install` places."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNITS = ("orchestr8-master.service", "orchestr8-worker.service")
INSTALL = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from orchestr8.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q", "--no-deps"]
    subprocess.run([*command, "--no-build-isolation", "-w", str(folder), str(ROOT)], check=True, timeout=300)
    (found,) = folder.glob("orchestr8-*.whl")
    return found


def test_the_wheel_has_the_command_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry_points,) = (archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert "orchestr8 = orchestr8.__main__:main" in entry_points
    tops = {name.partition("/")[0] for name in names}
    assert [top for top in tops if not top.endswith(".dist-info")] == ["orchestr8"]


def test_what_is_installed_from_the_wheel_finds_its_units(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    command = [
        sys.executable,
        "-c",
        INSTALL,
        str(tmp_path / "installed"),
        "install",
        "--unit-dir",
        str(tmp_path / "units"),
    ]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=60)
    for unit in UNITS:
        placed = (tmp_path / "units" / unit).read_text()
        assert (tmp_path / "installed" / "orchestr8" / "systemd" / unit).read_text() == (
            ROOT / "systemd" / unit
        ).read_text()
        assert "Type=notify" in placed
