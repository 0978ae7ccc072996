from __future__ import annotations

import json
from typing import Any

import pytest

from orchestr8.api import kinds
from orchestr8.api.meta import ObjectMeta
from orchestr8.api.pod import Pod, PodSpec
from orchestr8.errors import BadRequest, Invalid
from orchestr8.master.apiserver.deps import Identity
from orchestr8.master.apiserver.messages import Request
from orchestr8.master.apiserver.routes import Target
from orchestr8.master.apiserver.verbs.reviews import review
from orchestr8.store.state import State
from tests.unit.master.apiserver.stage import state_with

ADMIN = Identity("kubernetes-admin", ("system:masters", "system:authenticated"))
VIEWER = Identity("vera", ("orchestr8:viewers", "system:authenticated"))
NODE = Identity("system:node:w1", ("system:nodes", "system:authenticated"), uid="u-1")
PROTOBUF = "application/vnd.kubernetes.protobuf"


async def ask(
    kind: str, body: bytes, identity: Identity, content_type: str = "application/json", state: State | None = None
) -> dict[str, Any]:
    request = Request("POST", "/", headers={"content-type": content_type}, body=body)
    answer = await review(Target(kinds.by_name(kind)), request, identity, (state or State()).view())
    assert answer.status == 201
    found: dict[str, Any] = json.loads(answer.body)
    assert found["kind"] == kind
    return found


async def may(identity: Identity, state: State, **attributes: str) -> bool:
    body = json.dumps({"spec": {"resourceAttributes": attributes}}).encode()
    answer = await ask("SelfSubjectAccessReview", body, identity, state=state)
    allowed: bool = answer["status"]["allowed"]
    return allowed


def field(number: int, data: bytes) -> bytes:
    assert len(data) < 128
    return bytes((number << 3 | 2, len(data))) + data


def protobuf(kind: str, group: str, raw: bytes) -> bytes:
    return b"k8s\0" + field(1, field(1, f"{group}/v1".encode()) + field(2, kind.encode())) + field(2, raw)


async def test_who_am_i_tells_user_uid_and_groups() -> None:
    answer = await ask("SelfSubjectReview", b"{}", NODE)
    assert answer["status"]["userInfo"] == {
        "username": "system:node:w1",
        "uid": "u-1",
        "groups": ["system:nodes", "system:authenticated"],
    }


async def test_kubectl_asks_who_it_is_in_protobuf() -> None:
    body = protobuf("SelfSubjectReview", "authentication.k8s.io", b"")
    answer = await ask("SelfSubjectReview", body, ADMIN, PROTOBUF)
    assert answer["status"]["userInfo"]["username"] == "kubernetes-admin"


@pytest.mark.parametrize(("verb", "allowed"), [("list", True), ("delete", False)])
async def test_kubectl_asks_what_it_may_in_protobuf(verb: str, allowed: bool) -> None:
    wanted = field(1, b"default") + field(2, verb.encode()) + field(5, b"pods")
    body = protobuf("SelfSubjectAccessReview", "authorization.k8s.io", field(2, field(1, wanted)))
    answer = await ask("SelfSubjectAccessReview", body, VIEWER, PROTOBUF)
    assert answer["spec"]["resourceAttributes"] == {"namespace": "default", "verb": verb, "resource": "pods"}
    assert answer["status"]["allowed"] is allowed


@pytest.mark.parametrize(
    ("identity", "attributes", "allowed"),
    [
        (ADMIN, {"verb": "delete", "resource": "nodes"}, True),
        (ADMIN, {"verb": "*", "resource": "*"}, True),
        (VIEWER, {"verb": "get", "resource": "deployments", "group": "apps"}, True),
        (VIEWER, {"verb": "get", "resource": "pods", "subresource": "log", "namespace": "x"}, True),
        (VIEWER, {"verb": "create", "resource": "pods", "subresource": "exec", "namespace": "x"}, False),
        (VIEWER, {"verb": "get", "resource": "secrets"}, False),
        (VIEWER, {"verb": "get"}, False),
        (VIEWER, {"verb": "*", "resource": "*"}, False),
        (Identity("nobody", ("system:authenticated",)), {"verb": "list", "resource": "pods"}, False),
    ],
)
async def test_a_review_answers_by_the_rules_that_requests_meet(
    identity: Identity, attributes: dict[str, str], allowed: bool
) -> None:
    assert await may(identity, State(), **attributes) is allowed


async def test_a_node_may_read_the_pods_that_are_bound_to_it() -> None:
    state = state_with(
        Pod(metadata=ObjectMeta(name="mine", namespace="x"), spec=PodSpec(node_name="w1")),
        Pod(metadata=ObjectMeta(name="other", namespace="x"), spec=PodSpec(node_name="w2")),
    )
    assert await may(NODE, state, verb="get", resource="pods", namespace="x", name="mine")
    assert not await may(NODE, state, verb="get", resource="pods", namespace="x", name="other")


async def test_a_no_says_why() -> None:
    body = b'{"spec":{"resourceAttributes":{"verb":"delete","resource":"pods","namespace":"x"}}}'
    status = (await ask("SelfSubjectAccessReview", body, VIEWER))["status"]
    assert 'User "vera" cannot delete resource "pods"' in status["reason"]


@pytest.mark.parametrize(("path", "allowed"), [("/version", True), ("/metrics", True), ("/secret", False)])
async def test_paths_are_reviewed_too(path: str, allowed: bool) -> None:
    body = json.dumps({"spec": {"nonResourceAttributes": {"path": path, "verb": "get"}}}).encode()
    assert (await ask("SelfSubjectAccessReview", body, VIEWER))["status"]["allowed"] is allowed


@pytest.mark.parametrize("spec", ['{"resourceAttributes":{},"nonResourceAttributes":{}}', "{}"])
async def test_exactly_one_thing_may_be_asked(spec: str) -> None:
    with pytest.raises(Invalid, match="exactly one of resourceAttributes and nonResourceAttributes"):
        await ask("SelfSubjectAccessReview", f'{{"spec":{spec}}}'.encode(), ADMIN)


async def test_a_body_that_is_no_object_is_refused() -> None:
    with pytest.raises(BadRequest, match="must be an object"):
        await ask("SelfSubjectReview", b"[]", ADMIN)


async def test_an_admin_may_everything_everywhere() -> None:
    status = (await ask("SelfSubjectRulesReview", b'{"spec":{"namespace":"x"}}', ADMIN))["status"]
    assert status["resourceRules"] == [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    assert status["nonResourceRules"] == [{"nonResourceURLs": ["*"], "verbs": ["*"]}]
    assert status["incomplete"] is False


async def test_the_list_of_rules_is_the_one_that_requests_meet() -> None:
    body = protobuf("SelfSubjectRulesReview", "authorization.k8s.io", field(2, field(1, b"x")))
    answer = await ask("SelfSubjectRulesReview", body, VIEWER, PROTOBUF)
    assert answer["spec"] == {"namespace": "x"}
    listed = {
        (verb, group, resource)
        for rule in answer["status"]["resourceRules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert ("list", "", "pods") in listed
    assert not any(resource == "secrets" for _, _, resource in listed)
    for verb, group, resource in listed:
        name, _, subresource = resource.partition("/")
        assert await may(VIEWER, State(), verb=verb, group=group, resource=name, subresource=subresource)
