"""`orchestr8 scale`."""

from __future__ import annotations

import click

from orchestr8.cli.cluster import Cluster, Item, seconds, with_cluster
from orchestr8.cli.http import MERGE
from orchestr8.errors import BadRequest, Conflict

_TRIES = 10


@click.command(
    epilog="""\b
Examples:
  orchestr8 scale deploy/web --replicas 5
  orchestr8 scale deploy/web --replicas 5 --current 3    only if it is 3 now
  orchestr8 scale deploy/web --replicas 5 --wait         until all five run
"""
)
@click.argument("what", nargs=-1, required=True, metavar="KIND/NAME...")
@click.option("--replicas", type=click.IntRange(min=0), required=True, help="How many are to run.")
@click.option("--current", type=click.IntRange(min=0), help="Only if so many are wanted now.")
@click.option("--wait", is_flag=True, help="Wait until a Deployment has rolled out.")
@click.option("--timeout", default="5m", show_default=True, metavar="TIME", help="How long --wait waits.")
@with_cluster
def scale(
    cluster: Cluster, what: tuple[str, ...], replicas: int, current: int | None, wait: bool, timeout: str
) -> None:
    """Set how many replicas of a Deployment or ReplicaSet run."""
    wait_seconds = seconds(timeout)
    items = cluster.items(what)
    for item in items:
        if not item.name:
            raise BadRequest(f"say which: orchestr8 scale {item.resource.singular}/NAME --replicas {replicas}")
        _scale(cluster, item, replicas, current)
        click.echo(f"{item.text} scaled to {replicas}")
    if wait:
        from orchestr8.cli.verbs.rollout import wait_rolled_out

        for item in items:
            if item.resource.kind == "Deployment":
                wait_rolled_out(cluster, item, cluster.namespace, wait_seconds)


def _scale(cluster: Cluster, item: Item, replicas: int, current: int | None) -> None:
    """With ``current`` the change is for the object as it was looked at. While a Deployment rolls, its status changes
    all the time: what was looked at is looked at again, and only another number of replicas is a conflict."""
    path = cluster.path(item, "scale")
    body: dict[str, object] = {"spec": {"replicas": replicas}}
    for attempt in range(_TRIES):
        if current is not None:
            now = cluster.api.get(path)
            if now["spec"].get("replicas", 0) != current:
                raise Conflict(f"{item.text} has {now['spec'].get('replicas', 0)} replicas, not {current}")
            body["metadata"] = {"resourceVersion": now["metadata"]["resourceVersion"]}
        try:
            cluster.api.request("PATCH", path, body, content_type=MERGE)
        except Conflict:
            if current is None or attempt == _TRIES - 1:
                raise
        else:
            return
