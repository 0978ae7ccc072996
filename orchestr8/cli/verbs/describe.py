"""`orchestr8 describe`: one object for people: what it is, how it is, and what happened to it.

Every kind is shown the same way, field by field as the API names them, without what only programs read; pods, nodes,
Deployments and Services get a head line of their own, and each object its events.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import click

from orchestr8.cli import output
from orchestr8.cli.cluster import Cluster, Item, with_cluster
from orchestr8.client.resources import with_query
from orchestr8.client.threeway import LAST_APPLIED
from orchestr8.errors import NotFound, Orchestr8Error

_NOISE = {"managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink", "name", "namespace"}
# Maps whose keys somebody chose: they are shown as they are.
_FREE_KEYS = {"annotations", "binaryData", "capacity", "allocatable", "data", "limits", "nodeSelector", "requests"}
_LABELS = {"labels", "matchLabels"}  # in one line
_EVENTS_SHOWN = 25

Object = dict[str, Any]


@click.command(
    epilog="""\b
Examples:
  orchestr8 describe pod web-7d9f
  orchestr8 describe deploy/web svc/web
  orchestr8 describe node w1
  orchestr8 describe pods -l app=web
"""
)
@click.argument("what", nargs=-1, required=True, metavar="KIND [NAME...] | KIND/NAME...")
@click.option("-l", "--selector", metavar="LABELS", help="Every object of the kind with these labels.")
@with_cluster
def describe(cluster: Cluster, what: tuple[str, ...], selector: str | None) -> None:
    """Show objects with what happened to them."""
    found: list[tuple[Item, Object]] = []
    for item in cluster.items(what):
        if item.name:
            found.append((item, cluster.get(item)))
            continue
        path = with_query(item.resource.path(cluster.namespace), {"labelSelector": selector})
        found += [
            (Item(item.resource, each["metadata"]["name"]), {"kind": item.resource.kind, **each})
            for each in cluster.api.get(path).get("items") or ()
        ]
    if not found:
        raise NotFound(f"nothing found in namespace {cluster.namespace}")
    now = dt.datetime.now(dt.UTC)
    for number, (item, document) in enumerate(found):
        if number:
            click.echo("\n")
        click.echo("\n".join(text(document, _events(cluster, item, document), now)))
        if item.resource.kind == "Node":
            click.echo("\n".join(_pods_on(cluster, item.name)))


def text(document: Object, events: list[Object], now: dt.datetime) -> Iterator[str]:
    """The lines that describe one object. Pure."""
    metadata = document["metadata"]
    yield f"Name:       {metadata['name']}"
    if metadata.get("namespace"):
        yield f"Namespace:  {metadata['namespace']}"
    yield f"Kind:       {document.get('kind', '')}"
    created = metadata.get("creationTimestamp")
    if created:
        yield f"Age:        {_age(created, now)} (since {created})"
    summary = _SUMMARIES.get(document.get("kind", ""))
    if summary is not None:
        yield f"State:      {summary(document)}"
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != LAST_APPLIED}
    rest = {key: value for key, value in metadata.items() if key not in _NOISE}
    yield from _fields({**rest, "annotations": annotations}, 0)
    for section, value in document.items():
        if section in ("apiVersion", "kind", "metadata") or value in (None, {}, []):
            continue
        shown = {**value, "conditions": None} if isinstance(value, dict) else value
        if document.get("kind") == "Secret" and section == "data":
            shown = dict.fromkeys(value, "(not shown)")
        yield f"{_title(section)}:"
        if isinstance(shown, dict):
            yield from _fields(shown, 2, free_keys=section in _FREE_KEYS)
        else:
            yield from (f"  {line}" for line in _plain(shown))
    yield from _conditions(document, now)
    yield from _event_lines(events, now)


# -- the state in one line, by kind ----------------------------------------------------------------------------


def _pod(document: Object) -> str:
    status = document.get("status") or {}
    spec = document.get("spec") or {}
    where = (
        f"on {spec['nodeName']}"
        if spec.get("nodeName")
        else "on no node yet: orchestr8 why " + document["metadata"]["name"]
    )
    parts = [str(status.get("phase") or "Pending"), where]
    for container in status.get("containerStatuses") or ():
        for state, detail in (container.get("state") or {}).items():
            reason = (detail or {}).get("reason")
            if state != "running":
                parts.append(f"{container['name']} {state}" + (f" ({reason})" if reason else ""))
        if container.get("restartCount"):
            parts.append(f"{container['name']} restarted {container['restartCount']} times")
    return ", ".join(parts)


def _deployment(document: Object) -> str:
    from orchestr8.cli.verbs.rollout import progress_of

    try:
        return progress_of(document)[1]
    except click.ClickException as error:
        return error.message


def _node(document: Object) -> str:
    conditions = (document.get("status") or {}).get("conditions") or ()
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
    cordoned = (document.get("spec") or {}).get("unschedulable")
    return ("Ready" if ready else "NotReady") + (", takes no new pods (cordoned)" if cordoned else "")


def _service(document: Object) -> str:
    spec = document.get("spec") or {}
    ports = ", ".join(
        f"{port.get('port')}/{port.get('protocol', 'TCP')}"
        + (f" (node {port['nodePort']})" if port.get("nodePort") else "")
        for port in spec.get("ports") or ()
    )
    return f"{spec.get('type', 'ClusterIP')} {spec.get('clusterIP', 'None')}, ports {ports or 'none'}"


_SUMMARIES: dict[str, Callable[[Object], str]] = {
    "Pod": _pod,
    "Deployment": _deployment,
    "Node": _node,
    "Service": _service,
}


# -- fields -----------------------------------------------------------------------------------------------------


def _fields(value: Object, indent: int, *, free_keys: bool = False) -> Iterator[str]:
    pad = " " * indent
    for key, item in value.items():
        if item in (None, {}, [], ""):
            continue
        title = key if free_keys else _title(key)
        if isinstance(item, dict):
            # A Service's selector is labels, a Deployment's has them.
            if key in _LABELS or (key == "selector" and all(isinstance(each, str) for each in item.values())):
                yield f"{pad}{title}: " + ", ".join(f"{name}={each}" for name, each in item.items())
                continue
            yield f"{pad}{title}:"
            yield from _fields(item, indent + 2, free_keys=key in _FREE_KEYS)
        elif isinstance(item, list):
            yield f"{pad}{title}:"
            for each in item:
                yield from _item(each, indent + 2)
        else:
            yield f"{pad}{title}: {_one_line(item)}"


def _item(value: Any, indent: int) -> Iterator[str]:
    pad = " " * indent
    if not isinstance(value, dict):
        yield f"{pad}- {_one_line(value)}"
        return
    lines = list(_fields(value, indent + 2))
    if lines:
        yield f"{pad}- {lines[0].strip()}"
        yield from lines[1:]


def _plain(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _one_line(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).replace("\n", "\\n")


def _title(key: str) -> str:
    """``containerStatuses`` -> ``Container Statuses``; ``podIP`` -> ``Pod IP``."""
    words: list[str] = []
    for char in key:
        if char.isupper() and words and not words[-1][-1:].isupper():
            words.append(char)
        elif words:
            words[-1] += char
        else:
            words.append(char.upper())
    return " ".join(words)


# -- what happened ----------------------------------------------------------------------------------------------


def _conditions(document: Object, now: dt.datetime) -> Iterator[str]:
    conditions = (document.get("status") or {}).get("conditions") or ()
    if conditions:
        yield "Conditions:"
    for each in conditions:
        since = _age(each.get("lastTransitionTime"), now)
        because = ": ".join(filter(None, [each.get("reason"), each.get("message")]))
        yield f"  {each.get('type', ''):<26} {each.get('status', ''):<8} {since:<8} {because}".rstrip()


def _event_lines(events: list[Object], now: dt.datetime) -> Iterator[str]:
    if not events:
        yield "Events:     none in the last hour"
        return
    yield "Events:"
    for each in events[-_EVENTS_SHOWN:]:
        count = each.get("count") or (each.get("series") or {}).get("count") or 1
        times = f" (x{count})" if count > 1 else ""
        kind = each.get("type", "")
        colored = click.style(f"{kind:<8}", fg="yellow") if kind == "Warning" else f"{kind:<8}"
        yield f"  {_age(_moment(each), now):<7} {colored} {each.get('reason', ''):<20} {each.get('message', '')}{times}"


def _moment(event: Object) -> str | None:
    found = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    return str(found) if found else None


def _events(cluster: Cluster, item: Item, document: Object) -> list[Object]:
    """Oldest first; none for somebody who may not read events."""
    fields = f"involvedObject.name={item.name},involvedObject.kind={item.resource.kind}"
    uid = document["metadata"].get("uid")
    if uid and item.resource.kind != "Node":
        fields += f",involvedObject.uid={uid}"
    namespace = document["metadata"].get("namespace")
    try:
        path = cluster.find("events").path(namespace)
        found = cluster.api.get(with_query(path, {"fieldSelector": fields})).get("items") or []
    except Orchestr8Error:
        return []
    return sorted(found, key=lambda event: _moment(event) or "")


def _pods_on(cluster: Cluster, node: str) -> Iterator[str]:
    path = with_query(cluster.find("pods").path(None), {"fieldSelector": f"spec.nodeName={node}"})
    pods = cluster.api.get(path).get("items") or []
    yield f"Pods:       {len(pods)}"
    for pod in pods:
        metadata = pod["metadata"]
        yield f"  {metadata['namespace']}/{metadata['name']}  {(pod.get('status') or {}).get('phase', 'Pending')}"


def _age(moment: Any, now: dt.datetime) -> str:
    try:
        return output.age((now - dt.datetime.fromisoformat(str(moment))).total_seconds())
    except ValueError:
        return "?"
