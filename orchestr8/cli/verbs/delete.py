"""`orchestr8 delete`: by name, by label or by file; waits until the objects are really gone."""

from __future__ import annotations

import time
from typing import Any

import click

from orchestr8.cli import output
from orchestr8.cli.cluster import Cluster, Item, seconds, with_cluster
from orchestr8.cli.failures import TIMED_OUT, Failure
from orchestr8.client import manifests
from orchestr8.client.resources import with_query
from orchestr8.errors import BadRequest, NotFound

_POLL_SECONDS = 0.2
_CASCADE = {"background": "Background", "foreground": "Foreground", "orphan": "Orphan"}


@click.command(
    epilog="""\b
Examples:
  orchestr8 delete pod web-7d9f                 one pod; its ReplicaSet makes another
  orchestr8 delete deploy/web svc/web           several kinds
  orchestr8 delete -f docs/examples/web.yaml    what a file names
  orchestr8 delete pods -l app=web              by label
  orchestr8 delete deploy web --cascade orphan  and leave its pods running
"""
)
@click.argument("what", nargs=-1, metavar="[KIND NAME... | KIND/NAME...]")
@click.option("-f", "--filename", "sources", multiple=True, metavar="FILE", help="What a file, folder or - names.")
@click.option("-R", "--recursive", is_flag=True, help="Folders with everything below them.")
@click.option("-l", "--selector", metavar="LABELS", help="Every object of the kind with these labels.")
@click.option("--all", "everything", is_flag=True, help="Every object of the kind in the namespace.")
@click.option(
    "--cascade",
    type=click.Choice(tuple(_CASCADE)),
    default="background",
    show_default=True,
    help="What becomes of the objects that it owns.",
)
@click.option("--grace-period", type=click.IntRange(min=0), metavar="SECONDS", help="How long a pod may take to end.")
@click.option("--force", is_flag=True, help="Forget a pod without waiting for its node. It may still run there.")
@click.option("--ignore-not-found", is_flag=True, help="An object that is not there is no error.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the objects are gone.")
@click.option("--timeout", default="5m", show_default=True, metavar="TIME", help="How long to wait.")
@with_cluster
def delete(
    cluster: Cluster,
    what: tuple[str, ...],
    sources: tuple[str, ...],
    recursive: bool,
    selector: str | None,
    everything: bool,
    wait: bool,
    timeout: str,
    ignore_not_found: bool,
    **options: Any,
) -> None:
    """Delete objects."""
    deadline = time.monotonic() + seconds(timeout)
    from_files = _from_files(cluster, sources, recursive) if sources else []
    targets = from_files or _from_words(cluster, what, selector, everything)
    body = _delete_options(**options)
    deleted = []
    for item, namespace in targets:
        try:
            answer = cluster.api.request("DELETE", item.resource.path(namespace, item.name), body)
        except NotFound:
            if ignore_not_found:
                continue
            raise
        output.warn(answer.warnings)
        click.echo(f"{item.text} deleted")
        deleted.append((item, namespace, _uid(answer.json())))
    if not targets and not ignore_not_found:
        click.echo("Nothing found.", err=True)
    if wait:
        _wait_gone(cluster, deleted, deadline)


def _from_files(cluster: Cluster, sources: tuple[str, ...], recursive: bool) -> list[tuple[Item, str]]:
    """Last first: what was made last goes first."""
    targets = []
    for manifest in reversed(manifests.read(sources, recursive=recursive)):
        resource = cluster.by_kind(manifest.api_version, manifest.kind)
        if resource is None:
            raise manifests.ManifestError(manifest.where, f"this cluster serves no {manifest.kind}")
        targets.append((Item(resource, manifest.name), manifest.namespace or cluster.namespace))
    return targets


def _from_words(
    cluster: Cluster, what: tuple[str, ...], selector: str | None, everything: bool
) -> list[tuple[Item, str]]:
    items = cluster.items(what)
    if all(item.name for item in items):
        if selector or everything:
            raise BadRequest("give names, or -l or --all, not both")
        return [(item, cluster.namespace) for item in items]
    if not selector and not everything:
        raise BadRequest("say which: by name, with -l LABELS, or --all")
    targets = []
    for item in items:
        path = with_query(item.resource.path(cluster.namespace), {"labelSelector": selector})
        targets += [
            (Item(item.resource, found["metadata"]["name"]), cluster.namespace)
            for found in cluster.api.get(path).get("items") or ()
        ]
    return targets


def _delete_options(cascade: str, grace_period: int | None, force: bool) -> dict[str, Any]:
    options: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": _CASCADE[cascade],
    }
    if force:
        options["gracePeriodSeconds"] = 0
    elif grace_period is not None:
        options["gracePeriodSeconds"] = grace_period
    return options


def _uid(answer: dict[str, Any]) -> str:
    """Of the deleted object: the answer is the object itself, or a Status that speaks of it."""
    found = (answer.get("metadata") or {}).get("uid") or (answer.get("details") or {}).get("uid")
    return str(found or "")


def _wait_gone(cluster: Cluster, deleted: list[tuple[Item, str, str]], deadline: float) -> None:
    with output.Progress() as progress:
        for item, namespace, uid in deleted:
            while not _gone(cluster, item, namespace, uid):
                if time.monotonic() >= deadline:
                    raise Failure(
                        f"{item.text} is still there",
                        f"see what holds it: orchestr8 describe {item.text} -n {namespace}",
                        TIMED_OUT,
                    )
                progress.update(f"waiting until {item.text} is gone")
                time.sleep(_POLL_SECONDS)


def _gone(cluster: Cluster, item: Item, namespace: str, uid: str) -> bool:
    """Also when another object has taken its name."""
    try:
        found = cluster.api.get(item.resource.path(namespace, item.name))
    except NotFound:
        return True
    return bool(uid) and found["metadata"].get("uid") != uid
