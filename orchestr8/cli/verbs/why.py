"""`orchestr8 why`: the scheduler's whole answer for one pod."""

from __future__ import annotations

from urllib.parse import quote

import click

from orchestr8.cli import output
from orchestr8.cli.cluster import Cluster, with_cluster
from orchestr8.errors import BadRequest


@click.command(
    epilog="""\b
Examples:
  orchestr8 why web-7d9f            every node with all that speaks against it
  orchestr8 why pod/web-7d9f -n prod
  orchestr8 why web-7d9f -o json
"""
)
@click.argument("pod", metavar="POD")
@click.option("-o", "--output", "form", type=click.Choice(("json", "yaml")), help="How to show it.")
@with_cluster
def why(cluster: Cluster, pod: str, form: str | None) -> None:
    """Say why a pod is where it is, or nowhere."""
    kind, _, name = pod.rpartition("/")
    if kind not in ("", "pod", "pods", "po"):
        raise BadRequest(f"why is asked of a pod, not of a {kind}: see its pods with `orchestr8 get pods`")
    answer = cluster.api.get(f"/orchestr8/v1/why/{quote(cluster.namespace)}/{quote(name)}")
    if form:
        output.show_object(answer, form)
    else:
        click.echo(answer["text"].rstrip())
