"""`orchestr8 version`."""

from __future__ import annotations

from collections.abc import Callable

import click

from orchestr8 import __version__
from orchestr8.cli import output
from orchestr8.cli.cluster import Cluster, may_choose_cluster
from orchestr8.errors import Orchestr8Error


@click.command(
    epilog="""\b
Examples:
  orchestr8 version
  orchestr8 version --client      without asking the cluster
"""
)
@click.option("--client", "only_client", is_flag=True, help="Only of this program.")
@click.option("-o", "--output", "form", type=click.Choice(("json", "yaml")), help="How to show it.")
@may_choose_cluster
def version(choose: Callable[[], Cluster], only_client: bool, form: str | None) -> None:
    """Show the versions of client and cluster."""
    found, problem = {"client": __version__}, ""
    if not only_client:
        try:
            answer = choose().api.get("/version")
            found["server"] = str(answer.get("gitVersion"))
        except Orchestr8Error as error:
            problem = error.message
    if form:
        output.show_object(found, form)
    else:
        for name, text in found.items():
            click.echo(f"{name}: {text}")
    if problem:
        click.echo(f"server: not reached ({problem})", err=True)
