"""`orchestr8 status`: the cluster at a glance; also when there is no quorum, from whichever master answers."""

from __future__ import annotations

from typing import Any

import click

from orchestr8.cli import output
from orchestr8.cli.cluster import Cluster, with_cluster
from orchestr8.cli.failures import UNREACHABLE, Failure
from orchestr8.errors import Unavailable


@click.command(
    epilog="""\b
Examples:
  orchestr8 status
  orchestr8 status -o json
"""
)
@click.option("-o", "--output", "form", type=click.Choice(("json", "yaml")), help="How to show it.")
@with_cluster
def status(cluster: Cluster, form: str | None) -> None:
    """Show masters, nodes and what needs attention."""
    with output.Progress() as progress:
        progress.update(f"asking {cluster.api.server}")
        try:
            answer = cluster.api.get("/orchestr8/v1/status")
        except Unavailable as error:
            raise Failure(
                error.message, "look on their hosts: systemctl status orchestr8-master", UNREACHABLE
            ) from error
    if form:
        output.show_object(answer, form)
    else:
        _show(answer)


def _show(answer: dict[str, Any]) -> None:
    if answer.get("quorum"):
        state = (
            click.style("healthy", fg="green") if not answer.get("warnings") else click.style("working", fg="yellow")
        )
        click.echo(
            f"Cluster {state}: {answer.get('leader')} leads in term {answer.get('term')},"
            f" revision {answer.get('revision')}"
        )
    else:
        age = answer.get("ageSeconds")
        heard = f", last heard of the others {age} s ago" if age is not None else ""
        click.echo(
            f"Cluster {click.style('without a quorum', fg='red')}: as {answer.get('answeredBy')} knows it{heard}"
        )
    click.echo()
    output.Table(["Master", "Address", "Role", "Seen"]).show(
        [each["name"], each["address"], each["role"], "yes" if each["connected"] else "no"]
        for each in answer.get("masters", ())
    )
    nodes = answer.get("nodes", ())
    if nodes:
        click.echo()
        output.Table(["Node", "Status", "Pod addresses", "Version"]).show(
            [
                each["name"],
                ("Ready" if each["ready"] else "NotReady") + ("" if each["schedulable"] else ",SchedulingDisabled"),
                each["podCIDR"],
                each["version"],
            ]
            for each in nodes
        )
    pods = answer.get("pods") or {}
    click.echo()
    click.echo("Pods: " + (", ".join(f"{count} {phase}" for phase, count in pods.items()) or "none"))
    output.warn(answer.get("warnings") or ())
