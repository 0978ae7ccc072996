"""`orchestr8 kubeconfig`: made on a master, which has the CA's key; read by us and by kubectl."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from orchestr8.cli.cluster import reported
from orchestr8.cli.failures import Failure
from orchestr8.errors import ConfigError


@click.command(
    epilog="""\b
Examples (on a master, as root):
  orchestr8 kubeconfig -o ~/.kube/config           for the administrator
  orchestr8 kubeconfig --viewer jo > jo.yaml       for somebody who may only look
  orchestr8 kubeconfig --server https://m1.lan:6443 --server https://m2.lan:6443
"""
)
@click.option("--viewer", metavar="NAME", help="For this person, who may read everything but secrets.")
@click.option("--server", "servers", multiple=True, metavar="URL", help="API address; default: of every master.")
@click.option("-o", "--output", "file", type=click.Path(path_type=Path), help="Write this file (mode 0600).")
@click.option("--force", is_flag=True, help="Also if the file exists.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="State directory of this master.")
@click.option("--config", type=click.Path(path_type=Path, exists=True), help="Its configuration file.")
def kubeconfig(
    viewer: str | None,
    servers: tuple[str, ...],
    file: Path | None,
    force: bool,
    data_dir: Path | None,
    config: Path | None,
) -> None:
    """Write a kubeconfig for this cluster."""
    from orchestr8.pki import files

    with reported():
        text = rendered(viewer, servers, data_dir, config)
        if file is None:
            click.echo(text, nl=False)
            return
        if file.exists() and not force:
            raise Failure(f"{file} exists", "choose another file, or overwrite it with --force", 4)
        files.write_private(file, text.encode())
    click.echo(f"wrote {file}; try: KUBECONFIG={file} orchestr8 status", err=True)


def rendered(viewer: str | None, servers: tuple[str, ...], data_dir: Path | None, config: Path | None) -> str:
    from orchestr8.config import load_master
    from orchestr8.pki import certificates, files, kubeconfig

    settings = load_master(config, flags={"master.data_dir": str(data_dir) if data_dir else None})
    folder = Path(settings.master.data_dir) / "pki"
    authority = files.load_authority(folder)
    if authority is None:
        raise ConfigError(f"{folder} has no cluster CA: run this on a master, as root")
    if not servers:
        others = [
            address.rpartition(":")[0] for name, address in settings.members.items() if name != settings.master.name
        ]
        servers = tuple(f"https://{host}:{settings.master.api_port}" for host in [settings.master.address, *others])
    subject = certificates.viewer(viewer) if viewer else certificates.admin()
    return kubeconfig.render(authority, subject, servers, dt.datetime.now(dt.UTC))
