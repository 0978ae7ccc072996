"""`orchestr8 token`: the one-line tokens with which hosts join.

A token is a Secret of type bootstrap.kubernetes.io/token in kube-system, which holds only a hash of it. Before the
first quorum there is no store: then the first master keeps tokens for the others in its state directory (for-member).
"""

from __future__ import annotations

import base64
import datetime as dt
import random
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from orchestr8.cli import output
from orchestr8.cli.cluster import Cluster, reported, seconds, with_cluster
from orchestr8.errors import BadRequest, ConfigError

_RPC_PORT = 7443


@click.group(
    epilog="""\b
Examples:
  orchestr8 token create                          for one worker, good for an hour
  orchestr8 token create --uses 20 --ttl 4h       for twenty
  orchestr8 token for-member m2                   for master m2, on the first master, before there is a quorum
  orchestr8 token list
"""
)
def token() -> None:
    """Make, list and remove the tokens with which hosts join."""


@token.command()
@click.option("--role", type=click.Choice(("worker", "master")), default="worker", show_default=True)
@click.option("--uses", type=click.IntRange(1, 1000), default=1, show_default=True, help="For how many hosts.")
@click.option("--ttl", metavar="TIME", help="How long it is good; default: 1h for a worker, 15m for a master.")
@click.option("--address", metavar="HOST:PORT", help="RPC address of a master for the line that is printed.")
@click.option("-q", "--quiet", is_flag=True, help="Print the token alone.")
@with_cluster
def create(cluster: Cluster, role: str, uses: int, ttl: str | None, address: str | None, quiet: bool) -> None:
    """Make a token and print the line to paste on the joining host."""
    from orchestr8.api import codec
    from orchestr8.pki import ca, tokens

    if cluster.access.ca_pem is None:
        raise ConfigError("this kubeconfig does not hold the cluster's CA, which a token pins: fetch one from a master")
    default = tokens.WORKER_TTL if role == "worker" else tokens.MASTER_TTL
    life = dt.timedelta(seconds=seconds(ttl)) if ttl else default
    made = tokens.new(random.SystemRandom(), ca.spki_sha256(cluster.access.ca_pem))
    secret = tokens.stored(made, role=role, uses=uses, expires=dt.datetime.now(dt.UTC) + life)
    path = cluster.find("secrets").path(tokens.NAMESPACE)
    cluster.api.request("POST", path, codec.to_builtins(secret))
    if quiet:
        click.echo(made.text())
        return
    where = address or f"{urlsplit(cluster.api.server).hostname}:{_RPC_PORT}"
    master = " --master --name NAME" if role == "master" else ""
    click.echo(f"orchestr8 join {where} {made.text()}{master}")
    click.echo(f"Good for {uses} host{'s' if uses > 1 else ''} until {life} from now.", err=True)


@token.command("for-member")
@click.argument("member", metavar="NAME")
@click.option("--data-dir", type=click.Path(path_type=Path), help="State directory of this master.")
@click.option("--config", type=click.Path(path_type=Path, exists=True), help="Its configuration file.")
def for_member(member: str, data_dir: Path | None, config: Path | None) -> None:
    """Make a token for the master NAME of [members], on the first master, also before there is a quorum."""
    with reported():
        click.echo(member_line(member, data_dir, config))


def member_line(member: str, data_dir: Path | None, config: Path | None) -> str:
    """The line to paste on the host of ``member``."""
    from orchestr8.config import load_master
    from orchestr8.pki import ca, files
    from orchestr8.pki.bootstrap import BootstrapTokens

    settings = load_master(config, flags={"master.data_dir": str(data_dir) if data_dir else None})
    if member not in settings.members or member == settings.master.name:
        others = ", ".join(sorted(settings.members.keys() - {settings.master.name})) or "none"
        raise BadRequest(f"[members] lists no other master {member!r}; there are: {others}")
    folder = Path(settings.master.data_dir)
    authority = files.load_authority(folder / "pki")
    if authority is None:
        raise ConfigError(
            f"{folder}/pki has no cluster CA: run this on the first master, after `orchestr8 master init`"
        )
    made = BootstrapTokens(folder / "bootstrap-tokens").create(
        member,
        source=random.SystemRandom(),
        ca_sha256=ca.spki_sha256(authority.certificate_pem),
        now=dt.datetime.now(dt.UTC),
    )
    return f"orchestr8 join {settings.members[settings.master.name]} {made.text()} --master --name {member}"


@token.command("list")
@with_cluster
def list_(cluster: Cluster) -> None:
    """List the tokens that can still be used."""
    rows = []
    for secret in cluster.api.get(cluster.find("secrets").path("kube-system")).get("items") or ():
        if secret.get("type") == "bootstrap.kubernetes.io/token":
            rows.append([_field(secret, name) for name in ("token-id", "role", "uses", "expiration")])
    if rows:
        output.Table(["Id", "Role", "Uses left", "Until"]).show(rows)
    else:
        click.echo("There are no tokens: make one with `orchestr8 token create`.", err=True)


@token.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@with_cluster
def delete(cluster: Cluster, ids: tuple[str, ...]) -> None:
    """Remove tokens by their id (or the whole token)."""
    secrets = cluster.find("secrets")
    for each in ids:
        token_id = each.split(".")[1] if each.startswith("o8.") else each
        cluster.api.request("DELETE", secrets.path("kube-system", f"bootstrap-token-{token_id}"))
        click.echo(f"token {token_id} removed")


def _field(secret: dict[str, Any], name: str) -> str:
    return base64.b64decode((secret.get("data") or {}).get(name, "")).decode(errors="replace")
