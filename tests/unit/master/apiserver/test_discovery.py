from __future__ import annotations

import json
import re
from typing import Any

import pytest

from orchestr8.api import kinds
from orchestr8.errors import NotFound
from orchestr8.master.apiserver.discovery import discover
from tests.unit.master.apiserver.stage import get

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
AGGREGATED_BETA = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"


def found(path: str, accept: str = "application/json") -> Any:
    where, _, query = path.partition("?")
    answer = discover(get(where, query, accept=accept))
    assert answer is not None
    assert answer.status == 200
    return json.loads(answer.body)


def resources(path: str) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in found(path)["resources"]}


def test_the_version_is_one_that_clients_can_compare() -> None:
    version = found("/version")
    assert (version["major"], version["minor"]) == ("1", "37")
    assert re.fullmatch(r"v1\.37\.\d+\+orchestr8[-.].+", version["gitVersion"])


def test_the_plain_documents_name_every_group_once() -> None:
    assert found("/api")["versions"] == ["v1"]
    groups = {group["name"]: group["preferredVersion"]["groupVersion"] for group in found("/apis")["groups"]}
    assert groups["apps"] == "apps/v1"
    assert {group for group, _ in kinds.group_versions()} - {""} <= groups.keys()
    assert found("/apis/apps") == {"kind": "APIGroup", "apiVersion": "v1", **_group("apps")}


def _group(name: str) -> dict[str, Any]:
    group: dict[str, Any] = next(group for group in found("/apis")["groups"] if group["name"] == name)
    return group


def test_every_group_version_that_is_announced_answers_its_resources() -> None:
    for group in found("/apis")["groups"]:
        for version in group["versions"]:
            listed = found(f"/apis/{version['groupVersion']}")
            assert (listed["kind"], listed["groupVersion"]) == ("APIResourceList", version["groupVersion"])


def test_a_resource_tells_its_names_and_verbs() -> None:
    pods = resources("/api/v1")["pods"]
    assert (pods["kind"], pods["singularName"], pods["namespaced"]) == ("Pod", "pod", True)
    assert (pods["shortNames"], pods["categories"]) == (["po"], ["all"])
    assert {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"} == set(pods["verbs"])
    assert resources("/api/v1")["nodes"]["namespaced"] is False


def test_drain_finds_the_eviction_of_policy_v1() -> None:
    eviction = resources("/api/v1")["pods/eviction"]
    assert (eviction["group"], eviction["version"], eviction["kind"]) == ("policy", "v1", "Eviction")
    assert eviction["verbs"] == ["create"]


def test_scale_is_of_autoscaling_and_binding_and_status_are_of_their_own_group() -> None:
    scale = resources("/apis/apps/v1")["deployments/scale"]
    assert (scale["group"], scale["version"], scale["kind"]) == ("autoscaling", "v1", "Scale")
    assert "group" not in resources("/apis/apps/v1")["deployments/status"]
    assert resources("/api/v1")["pods/binding"]["kind"] == "Binding"


@pytest.mark.parametrize(("accept", "version"), [(AGGREGATED, "v2"), (AGGREGATED_BETA, "v2beta1")])
def test_the_aggregated_documents_come_in_the_version_that_is_asked_for(accept: str, version: str) -> None:
    answer = discover(get("/apis", accept=f"{accept},application/json"))
    assert answer is not None
    assert f"v={version};" in answer.content_type
    assert "as=APIGroupDiscoveryList" in answer.content_type
    assert json.loads(answer.body)["apiVersion"] == f"apidiscovery.k8s.io/{version}"


def test_the_first_aggregated_version_wins() -> None:
    assert found("/api", f"{AGGREGATED},{AGGREGATED_BETA},application/json")["apiVersion"].endswith("/v2")


@pytest.mark.parametrize(
    "accept",
    ["application/json", "*/*", "", "application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList,*/*"],
)
def test_who_does_not_ask_for_an_aggregated_version_known_here_gets_plain_documents(accept: str) -> None:
    assert found("/api", accept)["kind"] == "APIVersions"


def test_both_forms_tell_of_the_same_resources() -> None:
    for top, prefix in (("/api", "/api"), ("/apis", "/apis")):
        for group in found(top, AGGREGATED)["items"]:
            for version in group["versions"]:
                name = group["metadata"]["name"]
                plain = resources("/".join(filter(None, (prefix, name, version["version"]))))
                told = {
                    name: verbs
                    for resource in version["resources"]
                    for name, verbs in [
                        (resource["resource"], resource["verbs"]),
                        *(
                            (f"{resource['resource']}/{sub['subresource']}", sub["verbs"])
                            for sub in resource["subresources"]
                        ),
                    ]
                }
                assert told == {name: entry["verbs"] for name, entry in plain.items()}


@pytest.mark.parametrize("path", ["/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/version", "/openapi/v3"])
def test_a_trailing_slash_changes_nothing(path: str) -> None:
    assert found(f"{path}/") == found(path)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2",
        "/apis/nothing.example",
        "/apis/apps/v1beta1",
        "/apis/nothing.example/v1",
        "/openapi/v2",
        "/openapi/v3/api/v2",
        "/openapi/v3/apis/nothing.example/v1",
        "/openapi",
    ],
)
def test_what_is_not_served_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        discover(get(path))


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/apis/apps/v1/deployments"])
def test_other_paths_are_left_to_others(path: str) -> None:
    assert discover(get(path)) is None


def test_every_document_of_the_index_is_served_at_the_url_that_it_gives() -> None:
    places = found("/openapi/v3")["paths"]
    assert {"api/v1", "apis/apps/v1"} <= places.keys()
    for place in places.values():
        url = place["serverRelativeURL"]
        assert re.search(r"\?hash=[0-9A-F]+$", url)
        assert found(url)["openapi"].startswith("3.")


def test_patches_advertise_that_the_server_validates_fields() -> None:
    document = found("/openapi/v3/apis/apps/v1")
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert {"fieldValidation", "dryRun", "fieldManager"} <= {each["name"] for each in patch["parameters"]}
