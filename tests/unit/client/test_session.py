import json

import anyio
import pytest

from orchestr8.api.meta import ObjectMeta
from orchestr8.api.pod import Container, Pod, PodSpec
from orchestr8.client.access import load
from orchestr8.client.session import open_client
from orchestr8.errors import Conflict, Expired, NotFound, OutcomeUnknown, Unavailable
from tests.unit.cli import standin
from tests.unit.cli.conftest import write_kubeconfig

PODS = "/api/v1/namespaces/default/pods"


def pod(name):
    return Pod(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=PodSpec(containers=(Container(name="c", image="i"),)),
    )


@pytest.fixture
def api():
    return standin.ApiServer()


@pytest.fixture
def access(api, tmp_path):
    with standin.serving(api) as address:
        yield load([write_kubeconfig(tmp_path / "config", ["https://127.0.0.1:1", address])])


async def test_objects_are_typed_both_ways(access):
    async with open_client(access) as client:
        made = await client.create(pod("a"))
        assert made.spec.containers[0].image == "i"
        assert made.metadata.resource_version
        assert [each.metadata.name for each in await client.list(Pod)] == []
        assert [each.metadata.name for each in await client.list(Pod, "default")] == ["a"]
        changed = await client.patch(Pod, "default", "a", {"metadata": {"labels": {"x": "y"}}})
        assert changed.metadata.labels == {"x": "y"}
        await client.delete(Pod, "default", "a")
        with pytest.raises(NotFound):
            await client.get(Pod, "default", "a")


async def test_refusals_are_the_errors_of_the_house(access, api):
    api.canned[("PUT", f"{PODS}/a")] = (409, standin.status(409, "Conflict", "changed"))
    api.canned[("POST", PODS)] = (409, standin.status(409, "Conflict", "changed"))
    async with open_client(access) as client:
        with pytest.raises(Conflict, match="changed"):
            await client.create(pod("a"))


async def test_a_write_without_an_answer_has_an_unknown_outcome(access, api):
    api.hang_up_on.add(f"POST {PODS}")
    async with open_client(access) as client:
        with pytest.raises(OutcomeUnknown):
            await client.create(pod("a"))


async def test_nobody_there_is_unavailable(tmp_path):
    nobody = load([write_kubeconfig(tmp_path / "config", ["https://127.0.0.1:1"])])
    async with open_client(nobody) as client:
        with pytest.raises(Unavailable, match=r"https://127\.0\.0\.1:1"):
            await client.list(Pod)


async def test_a_watch_begins_with_what_there_is_and_raises_when_the_past_is_gone(access, api, monkeypatch):
    api.put(f"{PODS}/a", {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "namespace": "default"}})
    changed = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "resourceVersion": "300"}}
    events = [
        {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": "200"}}},
        {"type": "MODIFIED", "object": changed},
        {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}},
    ]
    plain, seen = api.answer, []

    def answer(method, target, *rest):
        if "watch=true" in target:
            seen.append(target)
            return 200, b"".join(json.dumps(event).encode() + b"\n" for event in events)
        return plain(method, target, *rest)

    monkeypatch.setattr(api, "answer", answer)
    got = []
    async with open_client(access) as client, client.watch(Pod, "default") as changes:
        with pytest.raises(Expired):
            async for event, obj in changes:
                got.append((event, obj.metadata.resource_version))
    assert got == [("ADDED", "101"), ("MODIFIED", "300")]
    assert "resourceVersion=101" in seen[0]


def test_it_works_under_asyncio_too(access):
    async def one():
        async with open_client(access) as client:
            return await client.create(pod("a"))

    assert anyio.run(one, backend="asyncio").metadata.name == "a"
