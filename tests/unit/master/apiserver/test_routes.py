"""Paths and methods."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.errors import NotFound
from orchestr8.master.apiserver.messages import Query, Refusal, Request
from orchestr8.master.apiserver.routes import resource_target, verb_of
from tests.unit.master.apiserver.samples import CONFIG_MAPS, PODS
from tests.unit.master.apiserver.stand_in import Api


@pytest.mark.parametrize(
    ("path", "kind", "namespace", "name", "subresource"),
    [
        ("/api/v1/pods", "Pod", "", "", ""),
        ("/api/v1/pods/", "Pod", "", "", ""),
        ("/api/v1/namespaces/a/pods", "Pod", "a", "", ""),
        ("/api/v1/namespaces/a/pods/b", "Pod", "a", "b", ""),
        ("/api/v1/namespaces/a/pods/b/log", "Pod", "a", "b", "log"),
        ("/api/v1/namespaces", "Namespace", "", "", ""),
        ("/api/v1/namespaces/a", "Namespace", "", "a", ""),
        ("/api/v1/namespaces/a/status", "Namespace", "", "a", "status"),
        ("/api/v1/namespaces/a/finalize", "Namespace", "", "a", "finalize"),
        ("/api/v1/nodes/w1/status", "Node", "", "w1", "status"),
        ("/apis/apps/v1/namespaces/a/deployments/b/scale", "Deployment", "a", "b", "scale"),
    ],
)
def test_a_path_names_its_target(path: str, kind: str, namespace: str, name: str, subresource: str) -> None:
    target = resource_target(path)
    assert target is not None
    found = (target.kind.kind, target.namespace, target.name, target.subresource)
    assert found == (kind, namespace, name, subresource)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/horses",
        "/api/v2/pods",
        "/apis/apps/v1beta1/deployments",
        "/apis/apps/v1/pods",
        "/api/v1/pods/a",
        "/api/v1/namespaces/a/nodes",
        "/api/v1/namespaces/a/pods/b/scale",
        "/api/v1/namespaces/a/pods/b/log/c",
        "/api/v1/watch/pods",
    ],
)
def test_a_path_that_names_nothing_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        resource_target(path)


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/apis/apps", "/apis/apps/v1", "/version", "/openapi/v3"])
def test_other_paths_are_not_resources(path: str) -> None:
    assert resource_target(path) is None


@given(st.text(alphabet="/apinsodev1.", max_size=60))
def test_any_path_is_a_target_or_not(path: str) -> None:
    with contextlib.suppress(NotFound):
        resource_target(path)


@pytest.mark.parametrize(
    ("method", "path", "query", "verb"),
    [
        ("GET", PODS, "", "list"),
        ("GET", PODS, "watch=true", "watch"),
        ("GET", PODS, "watch=0", "list"),
        ("GET", f"{PODS}/a", "", "get"),
        ("HEAD", f"{PODS}/a", "", "get"),
        ("POST", PODS, "", "create"),
        ("POST", f"{PODS}/a/eviction", "", "create"),
        ("PUT", f"{PODS}/a", "", "update"),
        ("PATCH", f"{PODS}/a/status", "", "patch"),
        ("DELETE", f"{PODS}/a", "", "delete"),
        ("DELETE", PODS, "", "deletecollection"),
        ("POST", f"{PODS}/a", "", None),
        ("PUT", PODS, "", None),
        ("POST", "/api/v1/pods", "", None),
        ("DELETE", "/api/v1/pods", "", None),
        ("DELETE", "/api/v1/namespaces", "", None),
        ("DELETE", f"{PODS}/a/log", "", None),
        ("GET", f"{PODS}/a/eviction", "", None),
        ("OPTIONS", PODS, "", None),
    ],
)
def test_the_verb_of_a_method(method: str, path: str, query: str, verb: str | None) -> None:
    target = resource_target(path)
    assert target is not None
    request = Request(method, path, Query.parse(query))
    if verb is None:
        with pytest.raises(Refusal) as refused:
            verb_of(request, target)
        assert refused.value.status == 405
    else:
        assert verb_of(request, target) == verb


async def test_health_and_readiness(api: Api) -> None:
    for path in ("/healthz", "/livez", "/readyz", "/readyz/"):
        assert (await api.call("GET", path)).body == b"ok"
    api.ready = "no quorum"
    answer = await api.call("GET", "/readyz")
    assert answer.status == 503 and answer.value["message"] == "no quorum"
    assert (await api.call("GET", "/livez")).status == 200


async def test_our_own_paths(api: Api) -> None:
    assert await api.made("GET", "/orchestr8/v1/status") == {"leader": "m1"}
    assert await api.made("GET", "/orchestr8/v1/why/default/p") == {"text": "default/p waits"}
    assert (await api.call("GET", "/orchestr8/v1/why/default/none")).status == 404


@pytest.mark.parametrize("path", ["/nowhere", "/api/v2", "/apis/none", "/apis/none/v1", "/openapi/v2"])
async def test_what_is_not_here_is_a_status(api: Api, path: str) -> None:
    answer = await api.call("GET", path)
    assert answer.status == 404 and answer.value["kind"] == "Status"


async def test_a_status_names_the_object_it_speaks_of(api: Api) -> None:
    answer = await api.call("GET", f"{CONFIG_MAPS}/none")
    assert answer.value["details"] == {"name": "none", "kind": "configmaps"}
    assert answer.value["code"] == 404 and answer.value["status"] == "Failure"
