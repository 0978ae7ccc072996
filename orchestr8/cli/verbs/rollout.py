"""`orchestr8 rollout`: a Deployment's way from one template to the next."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import click

from orchestr8.cli import output
from orchestr8.cli.cluster import Cluster, Item, seconds, with_cluster
from orchestr8.cli.failures import TIMED_OUT, Failure
from orchestr8.cli.http import JSON_PATCH, STRATEGIC
from orchestr8.client.resources import with_query
from orchestr8.errors import BadRequest, NotFound

REVISION = "deployment.kubernetes.io/revision"
_CHANGE_CAUSE = "kubernetes.io/change-cause"
_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_HASH_LABEL = "pod-template-hash"
_POLL_SECONDS = 0.2


@click.group(
    epilog="""\b
Examples:
  orchestr8 rollout status deploy/web        wait until the update is done
  orchestr8 rollout history deploy/web       which revisions there were
  orchestr8 rollout undo deploy/web          back to the one before
  orchestr8 rollout restart deploy/web       replace every pod, one after another
"""
)
def rollout() -> None:
    """Watch, undo, restart or pause a rolling update."""


@rollout.command()
@click.argument("what", nargs=-1, required=True, metavar="deploy/NAME")
@click.option("--timeout", default="10m", show_default=True, metavar="TIME", help="How long to wait.")
@click.option("--watch/--no-watch", default=True, show_default=True, help="Wait until it is done.")
@with_cluster
def status(cluster: Cluster, what: tuple[str, ...], timeout: str, watch: bool) -> None:
    """Wait until the newest template runs everywhere."""
    wait_seconds = seconds(timeout)
    for item in _deployments(cluster, what):
        if watch:
            wait_rolled_out(cluster, item, cluster.namespace, wait_seconds)
        else:
            click.echo(progress_of(cluster.get(item))[1])


@rollout.command()
@click.argument("what", nargs=-1, required=True, metavar="deploy/NAME")
@click.option("--revision", type=int, help="Show the template of this revision.")
@with_cluster
def history(cluster: Cluster, what: tuple[str, ...], revision: int | None) -> None:
    """List the revisions that can be gone back to."""
    for item in _deployments(cluster, what):
        revisions = _revisions(cluster, cluster.get(item))
        if revision is not None:
            output.show_yaml(_template(_chosen(item, revisions, revision)))
            continue
        table = output.Table(["Revision", "Images", "Change-Cause"])
        table.show(
            [number, _images(replica_set), _annotations(replica_set).get(_CHANGE_CAUSE)]
            for number, replica_set in sorted(revisions.items())
        )


@rollout.command()
@click.argument("what", nargs=-1, required=True, metavar="deploy/NAME")
@click.option("--to-revision", type=int, default=0, metavar="N", help="To this one; default: the one before.")
@with_cluster
def undo(cluster: Cluster, what: tuple[str, ...], to_revision: int) -> None:
    """Go back to an earlier revision."""
    for item in _deployments(cluster, what):
        deployment = cluster.get(item)
        if deployment["spec"].get("paused"):
            raise BadRequest(f"{item.text} is paused: orchestr8 rollout resume {item.text}")
        revisions = _revisions(cluster, deployment)
        current = int(_annotations(deployment).get(REVISION, 0))
        earlier = [number for number in revisions if number != current]
        if not to_revision and not earlier:
            raise NotFound(f"{item.text} has no earlier revision")
        number = to_revision or max(earlier)
        template = _template(_chosen(item, revisions, number))
        steps = [{"op": "replace", "path": "/spec/template", "value": template}]
        cluster.api.request("PATCH", cluster.path(item), steps, content_type=JSON_PATCH)
        click.echo(f"{item.text} rolled back to revision {number}")


@rollout.command()
@click.argument("what", nargs=-1, required=True, metavar="deploy/NAME")
@with_cluster
def restart(cluster: Cluster, what: tuple[str, ...]) -> None:
    """Replace every pod as an update would."""
    now = dt.datetime.now().astimezone().isoformat(timespec="seconds")
    change = {"spec": {"template": {"metadata": {"annotations": {_RESTARTED_AT: now}}}}}
    _patch(cluster, what, change, "restarted")


@rollout.command()
@click.argument("what", nargs=-1, required=True, metavar="deploy/NAME")
@with_cluster
def pause(cluster: Cluster, what: tuple[str, ...]) -> None:
    """Let changes of the template wait."""
    _patch(cluster, what, {"spec": {"paused": True}}, "paused")


@rollout.command()
@click.argument("what", nargs=-1, required=True, metavar="deploy/NAME")
@with_cluster
def resume(cluster: Cluster, what: tuple[str, ...]) -> None:
    """Roll out what waited."""
    _patch(cluster, what, {"spec": {"paused": None}}, "resumed")


def wait_rolled_out(cluster: Cluster, item: Item, namespace: str, wait_seconds: float) -> None:
    """Raises Failure when it cannot progress, or after ``wait_seconds``."""
    deadline = time.monotonic() + wait_seconds
    with output.Progress() as progress:
        while True:
            done, text = progress_of(cluster.api.get(item.resource.path(namespace, item.name)))
            if done:
                break
            if time.monotonic() >= deadline:
                raise Failure(text, f"see why: orchestr8 describe {item.text} -n {namespace}", TIMED_OUT)
            progress.update(text)
            time.sleep(_POLL_SECONDS)
    click.echo(text)


def progress_of(deployment: dict[str, Any]) -> tuple[bool, str]:
    """(done, in words). Raises Failure past its progress deadline. The rules of `kubectl rollout status`."""
    name, status = deployment["metadata"]["name"], deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return False, f"deployment {name}: waiting for the controller to see the change"
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            raise Failure(
                f"deployment {name} has made no progress within its deadline",
                f"see why: orchestr8 get pods, orchestr8 why POD; go back: orchestr8 rollout undo deploy/{name}",
            )
    if updated < wanted:
        return False, f"deployment {name}: {updated} of {wanted} new replicas made"
    if status.get("replicas", 0) > updated:
        return False, f"deployment {name}: {status['replicas'] - updated} old replicas still to end"
    if available < updated:
        return False, f"deployment {name}: {available} of {updated} new replicas available"
    return True, f"deployment {name} rolled out: {available} of {wanted} available"


def _deployments(cluster: Cluster, what: tuple[str, ...]) -> list[Item]:
    items = cluster.items(what)
    for item in items:
        if item.resource.kind != "Deployment" or not item.name:
            raise BadRequest(f"a rollout belongs to a Deployment: deploy/NAME, not {' '.join(what)}")
    return items


def _patch(cluster: Cluster, what: tuple[str, ...], change: dict[str, Any], verb: str) -> None:
    for item in _deployments(cluster, what):
        cluster.api.request("PATCH", cluster.path(item), change, content_type=STRATEGIC)
        click.echo(f"{item.text} {verb}")


def _revisions(cluster: Cluster, deployment: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Revision -> the ReplicaSet that has its template."""
    labels = deployment["spec"]["selector"].get("matchLabels") or {}
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    path = with_query(
        cluster.find("replicasets").path(deployment["metadata"]["namespace"]), {"labelSelector": selector}
    )
    found: dict[int, dict[str, Any]] = {}
    for replica_set in cluster.api.get(path).get("items") or ():
        owners = replica_set["metadata"].get("ownerReferences") or ()
        number = _annotations(replica_set).get(REVISION)
        if number and any(owner.get("uid") == deployment["metadata"]["uid"] for owner in owners):
            found[int(number)] = replica_set
    return found


def _chosen(item: Item, revisions: dict[int, dict[str, Any]], number: int) -> dict[str, Any]:
    if number not in revisions:
        there = ", ".join(map(str, sorted(revisions))) or "none"
        raise NotFound(f"{item.text} has no revision {number}; there are: {there}")
    return revisions[number]


def _template(replica_set: dict[str, Any]) -> dict[str, Any]:
    """Without the label by which the ReplicaSet tells its own pods."""
    template = dict(replica_set["spec"]["template"])
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {key: value for key, value in (metadata.get("labels") or {}).items() if key != _HASH_LABEL}
    return {**template, "metadata": metadata}


def _images(replica_set: dict[str, Any]) -> str:
    return ",".join(container.get("image", "") for container in replica_set["spec"]["template"]["spec"]["containers"])


def _annotations(document: dict[str, Any]) -> dict[str, str]:
    return document["metadata"].get("annotations") or {}
