"""`orchestr8 join`: this host becomes a worker, or a further master, of a cluster.

Nothing runs yet afterwards: identity and configuration are in place, and the last line says how to start.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestr8.cli.cluster import reported
from orchestr8.cli.failures import Failure

if TYPE_CHECKING:
    from orchestr8.pki.join import Joined

_RPC_PORT = 7443
_JOIN_SECONDS = 60
_UNITS = Path("/etc/systemd/system")
_DROP_IN = "10-join.toml"


@click.command(
    epilog="""\b
Examples (make the token on a master with `orchestr8 token create`):
  orchestr8 join 10.0.0.1:7443 o8.k3f9xw.2vq...                         as a worker named after this host
  orchestr8 join 10.0.0.1:7443 o8.k3f9xw.2vq... --name w1 --start       and start it with systemd
  orchestr8 join 10.0.0.1:7443 o8.p71a0b.77x... --master --name m2      as a master that [members] lists
"""
)
@click.argument("address", metavar="HOST[:PORT]")
@click.argument("token", metavar="TOKEN")
@click.option("--master", "as_master", is_flag=True, help="Join as a master.")
@click.option("--name", metavar="NAME", help="Name of this node or master; default: this host's.")
@click.option("--own-address", metavar="IP", help="Under which the others reach this host; default: its route's.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="State directory; default: below /var/lib/orchestr8.")
@click.option("--config-dir", type=click.Path(path_type=Path), help="Configuration; default: /etc/orchestr8.")
@click.option("--start", is_flag=True, help="Enable and start the systemd unit.")
@click.option("--force", is_flag=True, help="Also if this host has joined already.")
def join(
    address: str,
    token: str,
    as_master: bool,
    name: str | None,
    own_address: str | None,
    data_dir: Path | None,
    config_dir: Path | None,
    start: bool,
    force: bool,
) -> None:
    """Make this host a worker, or a further master, of a cluster."""
    from orchestr8 import config
    from orchestr8.pki import files

    role = "master" if as_master else "worker"
    host = (name or socket.gethostname().partition(".")[0]).lower()
    where = address if address.rpartition(":")[2].isdigit() and ":" in address else f"{address}:{_RPC_PORT}"
    folder = (data_dir or config.STATE_DIR / role) / "pki"
    with reported():
        if files.load_identity(folder) is not None and not force:
            raise Failure(f"this host has joined already ({folder})", "to join another cluster, add --force", 4)
        own = own_address or _route_address(where)
        joined = _ask(where, token, host, own, as_master)
        if joined.authority is not None:
            files.save_authority(folder, joined.authority)
        files.save_identity(folder, joined.identity)
        drop_in = (config_dir or config.CONFIG_DIR) / f"{role}.d" / _DROP_IN
        files.write_private(drop_in, _settings(role, host, own, joined, data_dir).encode(), mode=0o644)
    click.echo(f"joined as {role} {host}; identity in {folder}, settings in {drop_in}")
    _next(role, start)


def _ask(where: str, token: str, name: str, own: str, as_master: bool) -> Joined:
    import trio

    from orchestr8.errors import Unavailable
    from orchestr8.pki import tokens
    from orchestr8.pki.join import join_as_master, join_as_worker

    parsed = tokens.parse(token)

    async def ask() -> Joined:
        with trio.move_on_after(_JOIN_SECONDS):
            if as_master:
                return await join_as_master([where], parsed, name, [own, name])
            return await join_as_worker([where], parsed, name)
        raise Unavailable(f"no answer from {where} within {_JOIN_SECONDS} s")

    return trio.run(ask)


def _settings(role: str, name: str, own: str, joined: Joined, data_dir: Path | None) -> str:
    """TOML; JSON's strings and lists are TOML's."""
    lines = ["# Written by `orchestr8 join`.", f"[{role}]", f"name = {json.dumps(name)}"]
    if role == "worker":
        lines.append(f"masters = {json.dumps(list(joined.masters))}")
    lines.append(f"address = {json.dumps(own)}")
    if data_dir is not None:
        lines.append(f"data_dir = {json.dumps(str(data_dir))}")
    if role == "master":
        lines += ["", "[members]"]
        lines += [f"{json.dumps(member)} = {json.dumps(address)}" for member, address in joined.members.items()]
    return "\n".join(lines) + "\n"


def _route_address(where: str) -> str:
    """This host's address on the way to the master. No packet is sent."""
    host, _, port = where.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
        with socket.socket(found[0], socket.SOCK_DGRAM) as probe:
            probe.connect(found[4])
            return str(probe.getsockname()[0])
    except OSError as error:
        raise Failure(
            f"there is no way to {where}: {error.strerror}", "check the address, or give --own-address", 6
        ) from error


def _next(role: str, start: bool) -> None:
    import subprocess

    unit = f"orchestr8-{role}.service"
    if start:
        if not (_UNITS / unit).exists():
            raise Failure(f"{unit} is not installed", "orchestr8 install")
        subprocess.run(["systemctl", "enable", "--now", unit], check=True)
    elif (_UNITS / unit).exists():
        click.echo(f"start it:  systemctl enable --now {unit}")
    else:
        click.echo(
            f"start it:  orchestr8 install && systemctl enable --now {unit}"
            f"    (or, in the foreground: orchestr8 {role})"
        )
