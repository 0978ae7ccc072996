"""Lists: which revision, which objects, which page."""

from __future__ import annotations

import pytest

from orchestr8 import limits
from orchestr8.api import codec
from tests.unit.master.apiserver.samples import CONFIG_MAPS, PODS, config_map, pod
from tests.unit.master.apiserver.stand_in import Answered, Api


def _names(answer: Answered) -> list[str]:
    assert answer.status == 200, answer.body
    return [item["metadata"]["name"] for item in answer.value["items"]]


async def _make(api: Api, *names: str) -> None:
    for name in names:
        await api.made("POST", CONFIG_MAPS, config_map(name, {"n": name}))


async def test_a_list_names_its_kind_and_revision(api: Api) -> None:
    empty = (await api.call("GET", CONFIG_MAPS)).value
    assert empty == {
        "kind": "ConfigMapList",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": str(api.store.revision)},
        "items": [],
    }


async def test_without_a_revision_a_list_is_the_newest_state(api: Api) -> None:
    api.store.lagging = True
    body = {**config_map("late"), "metadata": {"name": "late", "namespace": "default"}}
    api.store.put(codec.from_builtins("ConfigMap", body))
    assert _names(await api.call("GET", f"{CONFIG_MAPS}?resourceVersion=0")) == []
    assert _names(await api.call("GET", CONFIG_MAPS)) == ["late"]


async def test_a_revision_that_this_master_has_not_seen_yet_is_waited_for(api: Api) -> None:
    api.store.lagging = True
    body = {**config_map("late"), "metadata": {"name": "late", "namespace": "default"}}
    api.store.put(codec.from_builtins("ConfigMap", body))
    newer = api.store.revision + 1
    assert _names(await api.call("GET", f"{CONFIG_MAPS}?resourceVersion={newer}")) == ["late"]
    assert (await api.call("GET", f"{CONFIG_MAPS}?resourceVersion={newer + 1}")).status == 410


async def test_an_exact_revision_is_the_past(api: Api) -> None:
    await _make(api, "a")
    then = api.store.revision
    await _make(api, "b")
    past = await api.call("GET", f"{CONFIG_MAPS}?resourceVersion={then}&resourceVersionMatch=Exact")
    assert _names(past) == ["a"] and past.value["metadata"]["resourceVersion"] == str(then)
    assert _names(await api.call("GET", f"{CONFIG_MAPS}?resourceVersion={then}")) == ["a", "b"]


async def test_pages_are_one_snapshot_however_much_is_written_meanwhile(api: Api) -> None:
    await _make(api, *"abcdefg")
    seen: list[str] = []
    path, remaining = f"{CONFIG_MAPS}?limit=2", []
    while True:
        page = await api.call("GET", path)
        seen += _names(page)
        meta = page.value["metadata"]
        if "continue" not in meta:
            break
        remaining.append(meta["remainingItemCount"])
        path = f"{CONFIG_MAPS}?limit=2&continue={meta['continue']}"
        await _make(api, f"new{len(seen)}")
        await api.made("DELETE", f"{CONFIG_MAPS}/g?propagationPolicy=Background") if len(seen) == 2 else None
    assert seen == list("abcdefg") and remaining == [5, 3, 1]


async def test_pages_of_all_namespaces_go_on_in_the_right_place(api: Api) -> None:
    for namespace in ("default", "other"):
        for name in ("a", "b"):
            await api.made("POST", f"/api/v1/namespaces/{namespace}/configmaps", config_map(name))
    first = await api.call("GET", "/api/v1/configmaps?limit=3")
    second = await api.call("GET", f"/api/v1/configmaps?limit=3&continue={first.value['metadata']['continue']}")
    assert _names(first) + _names(second) == ["a", "b", "a", "b"]


async def test_a_page_whose_snapshot_is_forgotten_is_told_410(api: Api) -> None:
    await _make(api, "a", "b")
    token = (await api.call("GET", f"{CONFIG_MAPS}?limit=1")).value["metadata"]["continue"]
    again = codec.from_builtins("ConfigMap", {**config_map("z"), "metadata": {"name": "z", "namespace": "default"}})
    for _ in range(limits.HISTORY_CHANGES + 1):
        api.store.put(again)
    answer = await api.call("GET", f"{CONFIG_MAPS}?limit=1&continue={token}")
    assert answer.status == 410 and answer.value["reason"] == "Expired"


@pytest.mark.parametrize(
    "query",
    [
        "continue=nonsense",
        "continue=WzEsImEiXQ",
        "labelSelector=a in b",
        "fieldSelector=spec.nonsense=1",
        "limit=-1",
        "limit=x",
        "resourceVersion=x",
        "resourceVersion=-1",
        "watch=maybe",
    ],
)
async def test_a_parameter_that_cannot_be_read_is_a_bad_request(api: Api, query: str) -> None:
    assert (await api.call("GET", f"{CONFIG_MAPS}?{query}")).status == 400


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("n=a", "a"),
        ("n==a", "a"),
        ("n!=a", "bc"),
        ("n in (a,b)", "ab"),
        ("n notin (a)", "bc"),
        ("n", "abc"),
        ("!n", ""),
        ("n=a,n=b", ""),
    ],
)
async def test_label_selectors(api: Api, selector: str, wanted: str) -> None:
    await _make(api, *"abc")
    for path in (CONFIG_MAPS, "/api/v1/configmaps"):
        assert _names(await api.call("GET", f"{path}?labelSelector={selector}")) == list(wanted)


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("metadata.name=b", "b"),
        ("metadata.name!=b", "ac"),
        ("metadata.name=b,spec.nodeName=w1", ""),
        ("spec.nodeName=w1", "a"),
        ("spec.nodeName=", "bc"),
        ("metadata.namespace=default,status.phase=Pending", "abc"),
        ("status.phase!=Pending", ""),
    ],
)
async def test_field_selectors(api: Api, selector: str, wanted: str) -> None:
    for name in "abc":
        await api.made("POST", PODS, pod(name, **({"nodeName": "w1"} if name == "a" else {})))
    for path in (PODS, "/api/v1/pods"):
        assert _names(await api.call("GET", f"{path}?fieldSelector={selector}")) == list(wanted)


async def test_a_long_list_is_written_in_pieces_and_is_the_same(api: Api) -> None:
    for index in range(12):
        await api.made("POST", CONFIG_MAPS, config_map(f"c{index:02}", a="x" * 200_000))
    answer = await api.call("GET", CONFIG_MAPS)
    assert _names(answer) == [f"c{index:02}" for index in range(12)]
    assert len(answer.body) > 2 * limits.MIB
