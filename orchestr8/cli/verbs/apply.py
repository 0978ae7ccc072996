"""`orchestr8 apply`: objects in files become objects in the cluster; applied again, nothing changes."""

from __future__ import annotations

from typing import Any

import click

from orchestr8.cli import output
from orchestr8.cli.cluster import Cluster, Item, seconds, with_cluster
from orchestr8.cli.failures import Failure, failure
from orchestr8.cli.http import STRATEGIC
from orchestr8.client import manifests, threeway
from orchestr8.client.manifests import Manifest
from orchestr8.client.resources import with_query
from orchestr8.errors import AlreadyExists, BadRequest, Conflict, NotFound, Orchestr8Error

_TRIES = 5
_MANAGER = "orchestr8-client-side-apply"


@click.command(
    epilog="""\b
Examples:
  orchestr8 apply -f docs/examples/web.yaml       a file with one or more objects
  orchestr8 apply -f manifests/ -R                every .yaml, .yml and .json below a folder
  cat web.yaml | orchestr8 apply -f -             standard input
  orchestr8 apply -f web.yaml --dry-run           what would change, changing nothing
  orchestr8 apply -f web.yaml --wait              until its Deployments have rolled out
"""
)
@click.option("-f", "--filename", "sources", multiple=True, required=True, metavar="FILE", help="File, folder or -.")
@click.option("-R", "--recursive", is_flag=True, help="Folders with everything below them.")
@click.option("-o", "--output", "form", type=click.Choice(("json", "yaml", "name")), help="Show the objects.")
@click.option("--dry-run", is_flag=True, help="Let the server check everything and change nothing.")
@click.option("--wait", is_flag=True, help="Wait until Deployments have rolled out.")
@click.option("--timeout", default="5m", show_default=True, metavar="TIME", help="How long --wait waits.")
@with_cluster
def apply(
    cluster: Cluster,
    sources: tuple[str, ...],
    recursive: bool,
    form: str | None,
    dry_run: bool,
    wait: bool,
    timeout: str,
) -> None:
    """Make the cluster what files say.

    What the files name is set, what they named last time and no longer name is removed, everything else stays. The
    same as `kubectl apply`, and the two may be mixed.
    """
    wait_seconds = seconds(timeout)
    found = manifests.read(sources, recursive=recursive)
    applied: list[tuple[Item, dict[str, Any]]] = []
    failed: list[Failure] = []
    for manifest in found:
        try:
            item, namespace = _target(cluster, manifest)
            with output.Progress() as progress:
                progress.update(f"applying {item.text}")
                verb, result = _apply(cluster, item, namespace, manifest, dry_run)
        except Orchestr8Error as error:
            failed.append(_refusal(manifest, error))
            failed[-1].show()
            continue
        applied.append((item, result))
        if form == "name":
            click.echo(item.text)
        elif form is None:
            click.echo(f"{item.text} {verb}" + (" (dry run)" if dry_run else ""))
    if form in ("json", "yaml") and applied:
        documents = [result for _, result in applied]
        whole = documents[0] if len(documents) == 1 else {"apiVersion": "v1", "kind": "List", "items": documents}
        output.show_object(whole, form)
    if failed:
        raise SystemExit(failed[0].exit_code)
    if wait and not dry_run:
        _wait(cluster, applied, wait_seconds)


def _target(cluster: Cluster, manifest: Manifest) -> tuple[Item, str]:
    resource = cluster.by_kind(manifest.api_version, manifest.kind)
    if resource is None:
        served = [each.api_version for each in cluster.catalogue().resources if each.kind == manifest.kind]
        hint = f"; it serves {', '.join(served)}" if served else ""
        raise manifests.ManifestError(
            manifest.where, f"this cluster serves no {manifest.kind} of {manifest.api_version}{hint}"
        )
    if not manifest.name:
        raise manifests.ManifestError(
            manifest.where, "metadata.name is missing: apply needs it to find the object again"
        )
    return Item(resource, manifest.name), manifest.namespace or cluster.namespace


def _apply(
    cluster: Cluster, item: Item, namespace: str, manifest: Manifest, dry_run: bool
) -> tuple[str, dict[str, Any]]:
    """(created, configured or unchanged; the object)."""
    document = dict(manifest.document)
    if item.resource.namespaced:
        document["metadata"] = {**document["metadata"], "namespace": namespace}
    query = {"fieldManager": _MANAGER, "fieldValidation": "Strict", "dryRun": "All" if dry_run else ""}
    path = item.resource.path(namespace, item.name)
    for _ in range(_TRIES):
        try:
            live = cluster.api.get(path)
        except NotFound:
            try:
                where = with_query(item.resource.path(namespace), query)
                answer = cluster.api.request("POST", where, threeway.annotated(document))
            except AlreadyExists:
                continue  # somebody was first: patch what they made
            output.warn(answer.warnings)
            return "created", answer.json()
        changes = threeway.patch(document, live)
        if not changes:
            return "unchanged", live
        try:
            answer = cluster.api.request("PATCH", with_query(path, query), changes, content_type=STRATEGIC)
        except (Conflict, NotFound):
            continue
        output.warn(answer.warnings)
        result = answer.json()
        same = result["metadata"].get("resourceVersion") == live["metadata"].get("resourceVersion")
        return ("unchanged" if same and not dry_run else "configured"), result
    raise Conflict(f"{item.text} is being changed by somebody else all the time: try again")


def _refusal(manifest: Manifest, error: Orchestr8Error) -> Failure:
    if isinstance(error, manifests.ManifestError):
        return failure(error)
    if isinstance(error, BadRequest):  # of what is sent only the manifest can be wrong: a field, a type
        return failure(manifests.ManifestError(manifest.where, error.message))
    return failure(error, where=manifest.where)


def _wait(cluster: Cluster, applied: list[tuple[Item, dict[str, Any]]], wait_seconds: float) -> None:
    from orchestr8.cli.verbs.rollout import wait_rolled_out

    for item, result in applied:
        if item.resource.kind == "Deployment":
            wait_rolled_out(cluster, item, result["metadata"]["namespace"], wait_seconds)
