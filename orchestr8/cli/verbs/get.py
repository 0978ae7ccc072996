"""`orchestr8 get`: lists as the server's tables, JSON, YAML or names; -w goes on with every change.

A watch survives its master: it goes on at another one from the revision it has seen, and lists again only when that
revision is no longer kept.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import click

from orchestr8.cli import output
from orchestr8.cli.cluster import Cluster, Item, lines, with_cluster
from orchestr8.cli.failures import NOT_FOUND, Failure
from orchestr8.client.failures import from_status
from orchestr8.client.resources import TABLE_ACCEPT, with_query
from orchestr8.errors import BadRequest, Expired, NotFound, Unavailable

_PAGE = 500
_RETRY_SECONDS = 1.0
_SILENT_SECONDS = 90.0  # servers send bookmarks more often; without one the master is gone


@click.command(
    epilog="""\b
Examples:
  orchestr8 get pods                      pods of the namespace
  orchestr8 get pods -A -o wide           of all namespaces, with node and IP
  orchestr8 get deploy,svc -l app=web     several kinds, chosen by label
  orchestr8 get pod/web-7d9f -o yaml      one object, whole
  orchestr8 get pods -w                   and every change from now on
"""
)
@click.argument("what", nargs=-1, required=True, metavar="KIND [NAME...] | KIND/NAME...")
@click.option("-o", "--output", "form", type=click.Choice(output.FORMATS), help="How to show it.")
@click.option("-A", "--all-namespaces", is_flag=True, help="Of every namespace.")
@click.option("-l", "--selector", metavar="LABELS", help="Only these labels: app=web,tier!=db.")
@click.option("--field-selector", metavar="FIELDS", help="Only these fields: status.phase=Running.")
@click.option("-w", "--watch", is_flag=True, help="Go on with every change.")
@click.option("--show-labels", is_flag=True, help="A last column with the labels.")
@click.option("--no-headers", is_flag=True, help="Leave out the line of column names.")
@click.option("--ignore-not-found", is_flag=True, help="An object that is not there is no error.")
@with_cluster
def get(cluster: Cluster, what: tuple[str, ...], form: str | None, watch: bool, **options: Any) -> None:
    """List objects, or show some."""
    items = cluster.items(what)
    if watch and len(items) != 1:
        raise BadRequest("-w follows one kind, or one object")
    query = Selection(cluster, options)
    if watch:
        _watch(cluster, items[0], query, form)
    elif form in ("json", "yaml"):
        _show_documents(cluster, items, query, form)
    else:
        _show_tables(cluster, items, query, form)


class Selection:
    """Where and what to list, from the options."""

    def __init__(self, cluster: Cluster, options: dict[str, Any]) -> None:
        self._namespace = None if options["all_namespaces"] else cluster.namespace
        self.all_namespaces = bool(options["all_namespaces"])
        self.show_labels = bool(options["show_labels"])
        self.header = not options["no_headers"]
        self.ignore_not_found = bool(options["ignore_not_found"])
        self.labels = options["selector"]
        self.fields = options["field_selector"]
        self.where = "any namespace" if self.all_namespaces else f"namespace {cluster.namespace}"

    def path(self, item: Item, **query: Any) -> str:
        if item.name and self.all_namespaces:
            raise BadRequest("one object has one namespace: give it with -n instead of -A")
        if item.name and not query.get("watch"):
            return item.resource.path(self._namespace, item.name)
        fields = f"metadata.name={item.name}" if item.name else self.fields
        return with_query(
            item.resource.path(self._namespace), {"labelSelector": self.labels, "fieldSelector": fields, **query}
        )


def _show_tables(cluster: Cluster, items: list[Item], query: Selection, form: str | None) -> None:
    tables: dict[str, tuple[Item, list[dict[str, Any]]]] = {}
    for item in items:
        pages = list(_pages(cluster, item, query, TABLE_ACCEPT))
        tables.setdefault(item.resource.full_name, (item, []))[1].extend(pages)
    shown = 0
    for item, pages in tables.values():
        rows = [row for page in pages for row in page.get("rows") or ()]
        if not rows:
            continue
        if form == "name":
            click.echo("\n".join(f"{item.resource.full_name}/{row['object']['metadata']['name']}" for row in rows))
        else:
            if shown:
                click.echo()
            view = View(item, query, form, prefixed=len(tables) > 1)
            view.show({**pages[0], "rows": rows})
        shown += 1
    if not shown and not query.ignore_not_found:
        click.echo(f"Nothing found in {query.where}.", err=True)


class View:
    """Rows of one kind: the same columns and widths for the list and for what a watch adds."""

    def __init__(self, item: Item, query: Selection, form: str | None, *, prefixed: bool = False) -> None:
        self._item = item
        self._query = query
        self._wide = form == "wide"
        self._prefixed = prefixed
        self._columns: list[dict[str, Any]] = []
        self._table: output.Table | None = None

    def show(self, table: dict[str, Any]) -> None:
        if table.get("columnDefinitions"):
            self._columns = table["columnDefinitions"]
        with_namespace = self._query.all_namespaces and self._item.resource.namespaced
        columns, rows = output.table_rows(
            {**table, "columnDefinitions": self._columns}, wide=self._wide, with_namespace=with_namespace
        )
        if self._prefixed:
            for row in rows:
                index = 1 if with_namespace else 0
                row[index] = f"{self._item.resource.full_name}/{row[index]}"
        if self._query.show_labels:
            columns.append("Labels")
            for row, source in zip(rows, table.get("rows") or (), strict=True):
                labels = source.get("object", {}).get("metadata", {}).get("labels") or {}
                row.append(",".join(f"{key}={value}" for key, value in sorted(labels.items())))
        if self._table is None:
            self._table = output.Table(columns, header=self._query.header)
        self._table.show(rows)


def _show_documents(cluster: Cluster, items: list[Item], query: Selection, form: str) -> None:
    found: list[dict[str, Any]] = []
    for item in items:
        for page in _pages(cluster, item, query, "application/json"):
            if item.name:
                found.append(page)
                continue
            kind = {"apiVersion": item.resource.api_version, "kind": item.resource.kind}
            found += [{**kind, **each} for each in page.get("items") or ()]
    if len(items) == 1 and items[0].name:
        if found:
            output.show_object(found[0], form)
        return
    output.show_object({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": found}, form)


def _pages(cluster: Cluster, item: Item, query: Selection, accept: str) -> Iterator[dict[str, Any]]:
    token = ""
    while True:
        path = query.path(item) if item.name else query.path(item, limit=_PAGE, **{"continue": token})
        try:
            page = cluster.api.get(path, accept)
        except NotFound as error:
            if query.ignore_not_found:
                return
            raise Failure(
                error.message, f"see which there are: orchestr8 get {item.resource.plural} -A", NOT_FOUND
            ) from error
        yield page
        token = (page.get("metadata") or {}).get("continue") or ""
        if item.name or not token:
            return


# -- watching ---------------------------------------------------------------------------------------------


def _watch(cluster: Cluster, item: Item, query: Selection, form: str | None) -> None:
    whole = form in ("json", "yaml")
    accept = "application/json" if whole else TABLE_ACCEPT
    view = View(item, query, form)

    def show(table: dict[str, Any]) -> None:
        if whole:
            output.show_object(table, form or "json")
            if form == "yaml":
                click.echo("---")
        elif form == "name":
            names = [row["object"]["metadata"]["name"] for row in table.get("rows") or ()]
            click.echo("\n".join(f"{item.resource.full_name}/{name}" for name in names))
        else:
            view.show(table)

    revision = _list_first(cluster, item, query, accept, show)
    while True:
        try:
            if not revision:
                revision = _list_first(cluster, item, query, accept, show)
            for kind, thing in _events(cluster, item, query, accept, revision):
                revision = _revision(thing) or revision
                if kind != "BOOKMARK":
                    show(thing)
        except Expired:
            revision = ""
        except Unavailable as error:
            click.echo(f"{error.message}; going on with another master", err=True)
            cluster.api.next_server()
            time.sleep(_RETRY_SECONDS)


def _list_first(cluster: Cluster, item: Item, query: Selection, accept: str, show: Any) -> str:
    revision = ""
    for page in _pages(cluster, item, query, accept):
        revision = revision or str((page.get("metadata") or {}).get("resourceVersion") or "")
        for each in page.get("items", [page]) if "rows" not in page else [page]:
            show(each)
    return revision


def _events(
    cluster: Cluster, item: Item, query: Selection, accept: str, revision: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(type, object) of each event. Raises Expired when the server no longer has the revision."""
    path = query.path(item, watch=True, resourceVersion=revision, allowWatchBookmarks=True)
    for line in lines(cluster.api.stream(path, accept, silent_seconds=_SILENT_SECONDS)):
        event = json.loads(line)
        if event["type"] == "ERROR":
            raise from_status(event["object"])
        yield event["type"], event["object"]


def _revision(thing: dict[str, Any]) -> str:
    """Of an object, or of the one row of a table."""
    for each in [thing, *[row.get("object") or {} for row in thing.get("rows") or ()]]:
        found = (each.get("metadata") or {}).get("resourceVersion")
        if found:
            return str(found)
    return ""
