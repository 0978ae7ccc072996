"""`orchestr8 install` and `uninstall`: the systemd units, for this very program, and the user that masters run as.

Nothing is started. Uninstalling leaves state and configuration, unless --purge says otherwise.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import click

from orchestr8.cli.failures import Failure

UNITS = ("orchestr8-master.service", "orchestr8-worker.service")

_UNIT_DIR = Path("/etc/systemd/system")
_USER = "orchestr8"
_COMMAND = "/usr/local/bin/orchestr8"  # as the units call it
_STATE = (Path("/var/lib/orchestr8"), Path("/etc/orchestr8"), Path("/run/orchestr8"))


@click.command(
    epilog="""\b
Examples (as root):
  orchestr8 install
  systemctl enable --now orchestr8-master orchestr8-worker
"""
)
@click.option("--unit-dir", type=click.Path(path_type=Path), default=_UNIT_DIR, show_default=True)
def install(unit_dir: Path) -> None:
    """Place the systemd units."""
    program = _program()
    for name in UNITS:
        text = (_unit_source() / name).read_text().replace(f"ExecStart={_COMMAND} ", f"ExecStart={program} ")
        _write(unit_dir / name, text)
        click.echo(f"wrote {unit_dir / name}")
    if unit_dir == _UNIT_DIR:
        _make_user()
        _systemctl("daemon-reload")
    click.echo("Next: orchestr8 master init (first host), or the join line that `orchestr8 token create` prints")


@click.command(
    epilog="""\b
Examples (as root):
  orchestr8 uninstall            stops and removes the units; pods, state and configuration stay
  orchestr8 uninstall --purge    and removes state and configuration, for good
"""
)
@click.option("--unit-dir", type=click.Path(path_type=Path), default=_UNIT_DIR, show_default=True)
@click.option("--purge", is_flag=True, help="Also remove /var/lib/orchestr8, /etc/orchestr8 and /run/orchestr8.")
@click.option("--yes", is_flag=True, help="Do not ask before --purge.")
def uninstall(unit_dir: Path, purge: bool, yes: bool) -> None:
    """Remove the systemd units."""
    if purge and not yes:
        click.confirm("This deletes the cluster's state on this host for good. Go on?", abort=True)
    for name in UNITS:
        if not (unit_dir / name).exists():
            continue
        if unit_dir == _UNIT_DIR:
            _systemctl("disable", "--now", name)
        (unit_dir / name).unlink()
        click.echo(f"removed {unit_dir / name}")
    if unit_dir == _UNIT_DIR:
        _systemctl("daemon-reload")
    for folder in _STATE if purge else ():
        if folder.exists():
            shutil.rmtree(folder)
            click.echo(f"removed {folder}")
    if not purge:
        click.echo(f"left: {', '.join(str(folder) for folder in _STATE if folder.exists()) or 'nothing'}")


def _unit_source() -> Path:
    """In the installed package, or beside it in a source tree."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "systemd", package.parent / "systemd"):
        if (folder / UNITS[0]).exists():
            return folder
    raise Failure("this installation has no systemd units", "install orchestr8 with pip from its source tree")


def _program() -> str:
    """How systemd is to call what is running now."""
    called = Path(sys.argv[0])
    if called.name == "orchestr8" and called.is_file():
        return str(called.absolute())
    return f"{sys.executable} -m orchestr8"


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", "run it as root") from error


def _make_user() -> None:
    known = subprocess.run(["getent", "passwd", _USER], stdout=subprocess.DEVNULL, check=False).returncode == 0
    if not known:
        _call("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _USER)
        click.echo(f"made the system user {_USER}")


def _systemctl(*words: str) -> None:
    _call("systemctl", *words)


def _call(*words: str) -> None:
    try:
        subprocess.run(words, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise Failure(f"{words[0]} is not on this host", "install needs systemd and passwd") from error
    except subprocess.CalledProcessError as error:
        raise Failure(f"{' '.join(words)}: {error.stderr.strip()}", "run it as root") from error
