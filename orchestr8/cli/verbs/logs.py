"""`orchestr8 logs`: of one pod, of all pods of a Deployment, or of those with a label; lines of several are marked."""

from __future__ import annotations

import sys
import threading
from typing import Any

import click

from orchestr8.cli.cluster import Cluster, Item, lines, seconds, with_cluster
from orchestr8.cli.failures import Failure, failure
from orchestr8.cli.http import Api
from orchestr8.client.resources import with_query
from orchestr8.errors import BadRequest, NotFound, Orchestr8Error

_AT_ONCE = 20


@click.command(
    epilog="""\b
Examples:
  orchestr8 logs web-7d9f                     what its container printed
  orchestr8 logs web-7d9f -f --tail 20        the last 20 lines and what comes
  orchestr8 logs web-7d9f -c init --previous  of the run before the last restart
  orchestr8 logs deploy/web -f                of all its pods
  orchestr8 logs -l app=web --since 10m
"""
)
@click.argument("what", required=False, metavar="POD | KIND/NAME")
@click.option("-c", "--container", metavar="NAME", help="Of this container; needed if the pod has several.")
@click.option("--all-containers", is_flag=True, help="Of every container.")
@click.option("-l", "--selector", metavar="LABELS", help="Of every pod with these labels.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-p", "--previous", is_flag=True, help="Of the container's run before this one.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--since", metavar="TIME", help="Only of the last 5m, 1h ...")
@click.option("--since-time", metavar="MOMENT", help="Only since 2026-01-31T12:00:00Z.")
@click.option("--timestamps", is_flag=True, help="Before each line when it was printed.")
@click.option("--limit-bytes", type=click.IntRange(min=1), metavar="N", help="No more than N bytes.")
@with_cluster
def logs(
    cluster: Cluster,
    what: str | None,
    container: str | None,
    all_containers: bool,
    selector: str | None,
    **options: Any,
) -> None:
    """Show what containers print."""
    query = {
        "follow": options["follow"],
        "previous": options["previous"],
        "tailLines": options["tail"],
        "sinceSeconds": int(seconds(options["since"])) if options["since"] else None,
        "sinceTime": options["since_time"],
        "timestamps": options["timestamps"],
        "limitBytes": options["limit_bytes"],
    }
    pods = _pods(cluster, what, selector)
    sources = [(pod["metadata"]["name"], name) for pod in pods for name in _containers(pod, container, all_containers)]
    if len(sources) == 1:
        _print(cluster, cluster.api, sources[0], query, "")
        return
    if len(sources) > _AT_ONCE:
        raise BadRequest(
            f"{len(sources)} containers match, at most {_AT_ONCE} are shown at once: narrow it with -l or -c"
        )
    _print_all(cluster, sources, query)


def _pods(cluster: Cluster, what: str | None, selector: str | None) -> list[dict[str, Any]]:
    if (what is None) == (selector is None):
        raise BadRequest("say whose: a pod, KIND/NAME, or -l LABELS")
    pod_kind = cluster.find("pods")
    if what is not None:
        kind, _, name = what.rpartition("/")
        item = Item(cluster.find(kind) if kind else pod_kind, name)
        document = cluster.get(item)
        if item.resource.kind == "Pod":
            return [document]
        chosen = (document.get("spec") or {}).get("selector") or {}
        labels = chosen.get("matchLabels", chosen if item.resource.kind == "Service" else {})
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        if not selector:
            raise BadRequest(f"{item.text} chooses no pods by label")
    found = cluster.api.get(with_query(pod_kind.path(cluster.namespace), {"labelSelector": selector})).get("items")
    if not found:
        raise NotFound(f"no pod with {selector} in namespace {cluster.namespace}")
    return list(found)


def _containers(pod: dict[str, Any], chosen: str | None, everyone: bool) -> list[str]:
    spec = pod["spec"]
    names = [each["name"] for each in spec.get("containers") or ()]
    init = [each["name"] for each in spec.get("initContainers") or ()]
    if everyone:
        return init + names
    if chosen:
        return [chosen]
    default = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    if len(names) > 1 and default not in names:
        click.echo(
            f"{pod['metadata']['name']}: showing {names[0]} of {', '.join(names + init)}; choose with -c", err=True
        )
    return [str(default) if default in names else names[0]]


def _print(cluster: Cluster, api: Api, source: tuple[str, str], query: dict[str, Any], mark: str) -> None:
    pod, container = source
    path = cluster.find("pods").path(cluster.namespace, pod, "log")
    pieces = api.stream(with_query(path, {**query, "container": container}))
    out = sys.stdout.buffer
    if not mark:
        for piece in pieces:
            out.write(piece)
            out.flush()
        return
    for line in lines(pieces):
        out.write(mark.encode() + line + b"\n")
        out.flush()


def _print_all(cluster: Cluster, sources: list[tuple[str, str]], query: dict[str, Any]) -> None:
    """Each on a connection and thread of its own; one that fails does not end the others."""
    failed: list[Failure] = []

    def one(source: tuple[str, str]) -> None:
        api = Api(cluster.access)
        try:
            _print(cluster, api, source, query, f"[{source[0]}/{source[1]}] ")
        except Orchestr8Error as error:
            failed.append(failure(error, where="/".join(source)))
            failed[-1].show()
        finally:
            api.close()

    threads = [threading.Thread(target=one, args=(source,), daemon=True) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise SystemExit(failed[0].exit_code)
