from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from orchestr8.api import kinds
from orchestr8.api.meta import ListMeta, Object, ObjectMeta
from orchestr8.api.pod import Pod
from orchestr8.errors import BadRequest
from orchestr8.master.apiserver.formats import tables
from orchestr8.master.apiserver.formats.tables import Form
from tests.unit.master.apiserver.stage import get

NOW = dt.datetime(2026, 2, 2, 12, 0, 42, tzinfo=dt.UTC)
POD = Pod(metadata=ObjectMeta(name="a", namespace="x", creation_timestamp=NOW - dt.timedelta(seconds=42)))
KUBECTL = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)


def table_of(form: Form = Form.METADATA, *, with_columns: bool = True) -> dict[str, Any]:
    made = tables.table(kinds.by_name("Pod"), [POD], ListMeta(resource_version="7"), form, NOW, with_columns)
    found: dict[str, Any] = json.loads(made)
    return found


@pytest.mark.parametrize(
    ("accept", "query", "form"),
    [
        (KUBECTL, "", Form.METADATA),
        ("application/json; as=Table; v=v1; g=meta.k8s.io", "includeObject=Object", Form.OBJECT),
        (KUBECTL, "includeObject=None", Form.NONE),
        ("application/json", "", None),
        ("application/json", "includeObject=Object", None),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io", "", None),
        ("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "", None),
        ("", "", None),
    ],
)
def test_a_table_is_made_for_those_who_ask_for_it(accept: str, query: str, form: Form | None) -> None:
    assert tables.form_of(get("/api/v1/pods", query, accept=accept)) is form


def test_an_unknown_include_object_is_refused_by_name() -> None:
    with pytest.raises(BadRequest, match="includeObject=Everything"):
        tables.form_of(get("/api/v1/pods", "includeObject=Everything", accept=KUBECTL))


def test_a_table_has_a_cell_for_each_column_and_the_lists_revision() -> None:
    made = table_of()
    assert (made["kind"], made["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert made["metadata"] == {"resourceVersion": "7"}
    cells = dict(zip([column["name"] for column in made["columnDefinitions"]], made["rows"][0]["cells"], strict=True))
    assert (cells["Name"], cells["Age"]) == ("a", "42s")


def test_beside_the_cells_stands_what_was_asked_for() -> None:
    metadata = table_of(Form.METADATA)["rows"][0]["object"]
    assert (metadata["kind"], metadata["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
    assert metadata["metadata"]["name"] == "a"
    assert "spec" not in metadata
    whole = table_of(Form.OBJECT)["rows"][0]["object"]
    assert (whole["kind"], "spec" in whole) == ("Pod", True)
    assert "object" not in table_of(Form.NONE)["rows"][0]


def test_later_events_of_a_watch_leave_the_columns_out() -> None:
    later = table_of(with_columns=False)
    assert later["columnDefinitions"] == []
    assert later["rows"][0]["cells"][0] == "a"


@pytest.mark.parametrize("form", list(Form))
def test_a_bookmark_carries_its_revision_in_every_form(form: Form) -> None:
    mark = Object(api_version="v1", kind="Pod", metadata=ObjectMeta(resource_version="9", annotations={"end": "true"}))
    made = json.loads(tables.bookmark(mark, form))
    assert made["metadata"]["resourceVersion"] == "9"
    assert made["rows"][0]["object"]["metadata"]["resourceVersion"] == "9"
    assert made["rows"][0]["object"]["metadata"]["annotations"] == {"end": "true"}


@pytest.mark.parametrize("kind", [kind.kind for kind in kinds.KINDS if kind.stored])
def test_every_kind_fills_every_column(kind: str) -> None:
    found = kinds.by_name(kind)
    obj = found.cls(metadata=ObjectMeta(name="a"))
    made = json.loads(tables.table(found, [obj], ListMeta(), Form.NONE, NOW))
    assert len(made["rows"][0]["cells"]) == len(made["columnDefinitions"])
