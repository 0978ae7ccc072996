"""`orchestr8 install` and `uninstall`: the systemd units, for this very program, and the user that masters run as.

Nothing is started. Uninstalling leaves pods, state and configuration and says so; --purge removes all but the pods,
which are Podman's. The units hide home directories from a master, so a program that lies in one is refused.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click

from orchestr8.cli.failures import Failure

UNITS = ("orchestr8-master.service", "orchestr8-worker.service")

_UNIT_DIR = Path("/etc/systemd/system")
_PACKAGE = Path(__file__).resolve().parents[2]
_USER = "orchestr8"
_COMMAND = "/usr/local/bin/orchestr8"  # as the units call it
_STATE = (Path("/var/lib/orchestr8"), Path("/etc/orchestr8"), Path("/run/orchestr8"))
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_REMOVE_PODS = "podman pod rm -f -t 0 $(podman pod ls -q --filter label=io.orchestr8.pod.uid)"


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
    if unit_dir == _UNIT_DIR:
        for path in (Path(program.split()[0]), _PACKAGE, Path(sys.base_prefix)):
            _refuse_unreachable(path)
        _make_user()
    for name in UNITS:
        text = (_unit_source() / name).read_text().replace(f"ExecStart={_COMMAND} ", f"ExecStart={program} ")
        _write(unit_dir / name, text)
        click.echo(f"wrote {unit_dir / name}")
    if unit_dir == _UNIT_DIR:
        _call("systemctl", "daemon-reload")
    click.echo("Next: orchestr8 master init (first host), or the join line that `orchestr8 token create` prints")


@click.command(
    epilog="""\b
Examples (as root):
  orchestr8 uninstall            stops and removes the units; pods, state and configuration stay
  orchestr8 uninstall --purge    and removes state, configuration and the user, for good
"""
)
@click.option("--unit-dir", type=click.Path(path_type=Path), default=_UNIT_DIR, show_default=True)
@click.option("--purge", is_flag=True, help="Also remove state, configuration and the user orchestr8.")
@click.option("--yes", is_flag=True, help="Do not ask before --purge.")
def uninstall(unit_dir: Path, purge: bool, yes: bool) -> None:
    """Remove the systemd units."""
    if purge and not yes:
        click.confirm("This deletes the cluster's state on this host for good. Go on?", abort=True)
    for name in UNITS:
        if not (unit_dir / name).exists():
            continue
        if unit_dir == _UNIT_DIR:
            _call("systemctl", "disable", "--now", name)
        _remove(unit_dir / name)
    if unit_dir == _UNIT_DIR:
        _call("systemctl", "daemon-reload")
    if purge:
        for folder in filter(Path.exists, _STATE):
            _remove(folder)
        if _has_user():
            _call("userdel", _USER)
            click.echo(f"removed the system user {_USER}")
    else:
        left = [str(folder) for folder in _STATE if folder.exists()] + ([f"the user {_USER}"] if _has_user() else [])
        click.echo(f"left: {', '.join(left) or 'nothing'}" + ("; remove them: uninstall --purge" if left else ""))
    click.echo(f"Pods run on, their images and network stay; to remove pods: {_REMOVE_PODS}")


def _unit_source() -> Path:
    """In the installed package, or beside it in a source tree."""
    for folder in (_PACKAGE / "systemd", _PACKAGE.parent / "systemd"):
        if (folder / UNITS[0]).exists():
            return folder
    raise Failure("this installation has no systemd units", "install orchestr8 with pip from its source tree")


def _program() -> str:
    """How systemd is to call what is running now."""
    called = Path(sys.argv[0])
    if called.name == "orchestr8" and called.is_file():
        return os.path.abspath(called)  # noqa: PTH100 - a link stays a link: what it points to may be upgraded
    return f"{sys.executable} -m orchestr8"


def _refuse_unreachable(path: Path) -> None:
    """A master runs as a user of its own, with home directories hidden: what it is made of must be elsewhere."""
    real = path.resolve()
    closed = [str(folder) for folder in real.parents if not folder.stat().st_mode & 0o001]
    closed += [str(home) for home in _HOMES if real.is_relative_to(home)]
    if closed:
        raise Failure(
            f"{path} lies in {closed[0]}, where the user {_USER} that masters run as cannot read it",
            "install it for the whole host: python3 -m venv /opt/orchestr8 && /opt/orchestr8/bin/pip install SOURCE",
        )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", "run it as root") from error


def _remove(path: Path) -> None:
    try:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    except OSError as error:
        # A pod's volume in memory is a mount below the state directory.
        raise Failure(
            f"{error.filename}: {error.strerror}", f"run it as root; first end the pods: {_REMOVE_PODS}"
        ) from error
    click.echo(f"removed {path}")


def _has_user() -> bool:
    return subprocess.run(["getent", "passwd", _USER], stdout=subprocess.DEVNULL, check=False).returncode == 0


def _make_user() -> None:
    if not _has_user():
        _call(
            "useradd", "--system", "--user-group", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", _USER
        )
        click.echo(f"made the system user {_USER}")


def _call(*words: str) -> None:
    try:
        subprocess.run(words, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise Failure(f"{words[0]} is not on this host", "install needs systemd and passwd") from error
    except subprocess.CalledProcessError as error:
        raise Failure(f"{' '.join(words)}: {error.stderr.strip()}", "run it as root") from error
