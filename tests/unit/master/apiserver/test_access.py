"""Who is let in, and who may do what."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from orchestr8 import limits
from orchestr8.master.apiserver.messages import Certificate
from tests.unit.master.apiserver.samples import CONFIG_MAPS, DEPLOYMENTS, PODS, config_map, deployment, pod
from tests.unit.master.apiserver.stand_in import ADMIN, Api

NODE = Certificate("system:node:w1", ("system:nodes",))
VIEWER = Certificate("vera", ("orchestr8:viewers",))
STRANGER = Certificate("sam", ("friends",))
MASTER = Certificate("system:master:m1", ("system:masters-internal",))
SECRETS = "/api/v1/namespaces/default/secrets"
MERGE = "application/merge-patch+json"


@pytest.mark.parametrize("path", [PODS, "/version", "/api", "/openapi/v3", "/readyz", "/metrics", "/nowhere"])
async def test_who_cannot_be_told_is_not_let_in(api: Api, path: str) -> None:
    answer = await api.call("GET", path, who=None)
    assert answer.status == 401 and answer.value["reason"] == "Unauthorized"
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_lets_in_and_a_wrong_one_does_not(api: Api) -> None:
    async def status(token: str, who: Certificate | None = None) -> int:
        return (await api.call("GET", PODS, who=who, authorization=token)).status

    assert await status("Bearer secret") == 200
    assert await status("bearer secret") == 200
    for wrong in ("Bearer wrong", "Bearer ", "Basic secret", "secret"):
        assert await status(wrong) == 401
        assert await status(wrong, ADMIN) == 401  # whoever sends a token means it


@pytest.mark.parametrize("who", [STRANGER, MASTER, Certificate("", ("system:masters",))])
async def test_whoever_has_no_rights_may_only_look_at_the_api(api: Api, who: Certificate) -> None:
    known = bool(who.common_name)
    for path in ("/version", "/api", "/apis", "/apis/apps/v1", "/openapi/v3", "/healthz"):
        assert (await api.call("GET", path, who=who)).status == (200 if known else 401)
    for path in (PODS, f"{PODS}/p", "/metrics", "/orchestr8/v1/status"):
        assert (await api.call("GET", path, who=who)).status == (403 if known else 401)


async def test_a_refusal_says_who_may_not_do_what(api: Api) -> None:
    answer = await api.call("DELETE", f"{DEPLOYMENTS}/web", who=VIEWER)
    assert answer.status == 403 and answer.value["reason"] == "Forbidden"
    assert answer.value["message"] == (
        'deployments.apps "web" is forbidden: User "vera" cannot delete resource "deployments" in API group "apps" '
        'in the namespace "default"'
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PODS, 200),
        ("GET", "/api/v1/nodes", 200),
        ("GET", f"{DEPLOYMENTS}/web", 200),
        ("GET", f"{DEPLOYMENTS}/web/scale", 200),
        ("GET", "/orchestr8/v1/status", 200),
        ("GET", SECRETS, 403),
        ("GET", f"{SECRETS}/s", 403),
        ("POST", PODS, 403),
        ("PUT", f"{DEPLOYMENTS}/web", 403),
        ("PATCH", f"{DEPLOYMENTS}/web/scale", 403),
        ("DELETE", f"{PODS}/p", 403),
        ("DELETE", PODS, 403),
        ("GET", f"{PODS}/p/exec", 403),
    ],
)
async def test_a_viewer_reads_everything_but_secrets(api: Api, method: str, path: str, status: int) -> None:
    await api.made("POST", DEPLOYMENTS, deployment())
    await api.made("POST", PODS, pod(nodeName="w1"))
    body = {} if method in ("POST", "PUT", "PATCH") else None
    assert (await api.call(method, path, body, who=VIEWER, content_type=MERGE)).status == status


class TestNode:
    """What node w1 may do, with a pod of its own, one of another node's, and what they refer to."""

    @pytest.fixture
    async def api(self, api: Api) -> Api:
        def needs(name: str) -> dict[str, Any]:
            container = {
                "name": "main",
                "image": "i:1",
                "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": f"{name}-secret", "key": "k"}}}],
                "envFrom": [{"configMapRef": {"name": f"{name}-config"}}],
            }
            return {"containers": [container]}

        await api.made("POST", PODS, pod("mine", nodeName="w1", **needs("mine")))
        await api.made("POST", PODS, pod("theirs", nodeName="w2", **needs("theirs")))
        for name in ("mine", "theirs"):
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{name}-secret"}}
            await api.made("POST", SECRETS, secret)
            await api.made("POST", CONFIG_MAPS, config_map(f"{name}-config"))
        for name in ("w1", "w2"):
            await api.made("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
        return api

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", PODS + "/{}"),
            ("GET", PODS + "/{}/status"),
            ("PATCH", PODS + "/{}/status"),
            ("DELETE", PODS + "/{}"),
            ("GET", SECRETS + "/{}-secret"),
            ("GET", CONFIG_MAPS + "/{}-config"),
        ],
    )
    async def test_its_own_and_not_others(self, api: Api, method: str, path: str) -> None:
        body = {"status": {"phase": "Running"}} if method == "PATCH" else None
        theirs = await api.call(method, path.format("theirs"), body, who=NODE, content_type=MERGE)
        assert theirs.status == 403
        mine = await api.call(method, path.format("mine"), body, who=NODE, content_type=MERGE)
        assert mine.status == 200

    async def test_its_own_node_and_not_others(self, api: Api) -> None:
        for name, status in (("w1", 200), ("w2", 403)):
            patch = {"status": {"phase": "Running"}}
            path = f"/api/v1/nodes/{name}/status"
            assert (await api.call("PATCH", path, patch, who=NODE, content_type=MERGE)).status == status

    async def test_lists_of_its_own_pods_only(self, api: Api) -> None:
        assert (await api.call("GET", "/api/v1/pods?fieldSelector=spec.nodeName=w1", who=NODE)).status == 200
        for query in ("", "?fieldSelector=spec.nodeName=w2", "?fieldSelector=spec.nodeName!=w1"):
            assert (await api.call("GET", f"/api/v1/pods{query}", who=NODE)).status == 403

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", PODS),
            ("PATCH", PODS + "/mine"),
            ("PUT", PODS + "/mine"),
            ("GET", PODS + "/mine/exec"),
            ("POST", PODS + "/mine/binding"),
            ("GET", SECRETS),
            ("DELETE", SECRETS + "/mine-secret"),
            ("DELETE", "/api/v1/nodes/w1"),
            ("POST", DEPLOYMENTS),
            ("DELETE", PODS),
        ],
    )
    async def test_nothing_else(self, api: Api, method: str, path: str) -> None:
        assert (await api.call(method, path, {}, who=NODE, content_type=MERGE)).status == 403

    @pytest.mark.parametrize(
        "path", ["/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices", "/api/v1/nodes", "/api/v1/endpoints"]
    )
    async def test_what_the_network_needs(self, api: Api, path: str) -> None:
        assert (await api.call("GET", path, who=NODE)).status == 200

    async def test_a_node_without_the_group_is_a_stranger(self, api: Api) -> None:
        assert (await api.call("GET", f"{PODS}/mine", who=Certificate("system:node:w1"))).status == 403


async def test_who_floods_a_master_is_told_so_and_others_are_served(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTTP_READS_PER_USER", 3)
    asleep, statuses = trio.Event(), []
    barrier = api.store.read_barrier

    async def slow_barrier() -> int:
        await asleep.wait()
        return await barrier()

    monkeypatch.setattr(api.store, "read_barrier", slow_barrier)

    async def read(who: Certificate) -> None:
        statuses.append((who.common_name, (await api.call("GET", PODS, who=who)).status))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(read, VIEWER)
        await trio.testing.wait_all_tasks_blocked()
        assert statuses == [("vera", 429)] * 2
        nursery.start_soon(read, ADMIN)
        await trio.testing.wait_all_tasks_blocked()
        asleep.set()
    assert sorted(statuses[2:]) == [("kubernetes-admin", 200), *[("vera", 200)] * 3]
    await read(VIEWER)
    assert statuses[-1] == ("vera", 200)
