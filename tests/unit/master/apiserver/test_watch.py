"""Watches: nothing is missed, nothing comes twice, and every end is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from orchestr8 import limits
from orchestr8.api import codec
from orchestr8.master.apiserver.messages import StreamResponse
from tests.unit.master.apiserver.samples import CONFIG_MAPS, PODS, config_map, pod
from tests.unit.master.apiserver.stand_in import ADMIN, Api

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
MERGE = "application/merge-patch+json"


class Seen:
    """The events of one watch, as they come."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.ended = False
        self.slow: Callable[[], Awaitable[None]] | None = None

    async def send(self, data: bytes) -> None:
        if self.slow is not None:
            await self.slow()
        self.events += [json.loads(line) for line in data.splitlines()]

    async def settle(self) -> list[tuple[str, str]]:
        """(type, name) of the events since the last call, once nothing more comes by itself."""
        await trio.testing.wait_all_tasks_blocked()
        found, self.events = self.events, []
        return [(event["type"], event["object"].get("metadata", {}).get("name", "")) for event in found]


@asynccontextmanager
async def watching(api: Api, path: str, **headers: str) -> AsyncIterator[Seen]:
    answer = await api.ask("GET", f"{path}{'&' if '?' in path else '?'}watch=true", **headers)
    assert isinstance(answer, StreamResponse), answer
    seen = Seen()

    async def run() -> None:
        await answer.run(seen.send)
        seen.ended = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield seen
        nursery.cancel_scope.cancel()


async def _revision(api: Api) -> str:
    return str((await api.made("GET", CONFIG_MAPS))["metadata"]["resourceVersion"])


async def test_a_watch_from_a_list_sees_every_change_once(api: Api) -> None:
    start = await _revision(api)
    await api.made("POST", CONFIG_MAPS, config_map("before"))
    async with watching(api, f"{CONFIG_MAPS}?resourceVersion={start}") as seen:
        await api.made("POST", CONFIG_MAPS, config_map("c"))
        await api.made("PATCH", f"{CONFIG_MAPS}/c", {"data": {"a": "1"}}, content_type=MERGE)
        await api.made("POST", PODS, pod())
        await api.made("POST", "/api/v1/namespaces/other/configmaps", config_map("elsewhere"))
        await api.made("DELETE", f"{CONFIG_MAPS}/c")
        assert await seen.settle() == [("ADDED", "before"), ("ADDED", "c"), ("MODIFIED", "c"), ("DELETED", "c")]


async def test_a_deletion_carries_the_last_state_at_the_revision_of_the_deletion(api: Api) -> None:
    await api.made("POST", CONFIG_MAPS, config_map("c", a="1"))
    async with watching(api, f"{CONFIG_MAPS}?resourceVersion={await _revision(api)}") as seen:
        await api.made("DELETE", f"{CONFIG_MAPS}/c")
        await trio.testing.wait_all_tasks_blocked()
        (event,) = seen.events
    assert event["object"]["data"] == {"a": "1"}
    assert event["object"]["metadata"]["resourceVersion"] == str(api.store.revision)


@pytest.mark.parametrize("query", ["", "?resourceVersion=0"])
async def test_without_a_revision_a_watch_starts_with_what_is_there(api: Api, query: str) -> None:
    await api.made("POST", CONFIG_MAPS, config_map("a"))
    async with watching(api, f"{CONFIG_MAPS}{query}") as seen:
        assert await seen.settle() == [("ADDED", "a")]
        await api.made("POST", CONFIG_MAPS, config_map("b"))
        assert await seen.settle() == [("ADDED", "b")]


async def test_initial_events_are_closed_by_a_bookmark_that_says_so(api: Api) -> None:
    await api.made("POST", CONFIG_MAPS, config_map("a"))
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with watching(api, f"{CONFIG_MAPS}?{query}") as seen:
        await trio.testing.wait_all_tasks_blocked()
        assert [event["type"] for event in seen.events] == ["ADDED", "BOOKMARK"]
        mark = seen.events[1]["object"]
        assert (mark["kind"], mark["apiVersion"]) == ("ConfigMap", "v1")
        assert mark["metadata"]["resourceVersion"] == str(api.store.revision)
        assert mark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_watch_without_initial_events_starts_now(api: Api) -> None:
    await api.made("POST", CONFIG_MAPS, config_map("a"))
    query = "sendInitialEvents=false&resourceVersionMatch=NotOlderThan"
    async with watching(api, f"{CONFIG_MAPS}?{query}") as seen:
        assert await seen.settle() == []
        await api.made("POST", CONFIG_MAPS, config_map("b"))
        assert await seen.settle() == [("ADDED", "b")]


@pytest.mark.parametrize("query", ["sendInitialEvents=true", "resourceVersionMatch=NotOlderThan&resourceVersion=1"])
async def test_parameters_that_contradict_each_other_are_invalid(api: Api, query: str) -> None:
    assert (await api.call("GET", f"{CONFIG_MAPS}?watch=true&{query}")).status == 422


async def test_objects_that_begin_or_stop_to_match_are_added_and_deleted(api: Api) -> None:
    start = await _revision(api)
    async with watching(api, f"{CONFIG_MAPS}?labelSelector=n=yes&resourceVersion={start}") as seen:
        await api.made("POST", CONFIG_MAPS, config_map("c", {"n": "no"}))
        for value in ("yes", "yes", "no"):
            patch = {"metadata": {"labels": {"n": value}}, "data": {"again": str(api.store.revision)}}
            await api.made("PATCH", f"{CONFIG_MAPS}/c", patch, content_type=MERGE)
        await api.made("DELETE", f"{CONFIG_MAPS}/c")
        assert await seen.settle() == [("ADDED", "c"), ("MODIFIED", "c"), ("DELETED", "c")]


async def test_a_field_selector_follows_a_pod_to_its_node(api: Api) -> None:
    await api.made("POST", PODS, pod())
    async with watching(api, "/api/v1/pods?fieldSelector=spec.nodeName=w1") as seen:
        binding = {"apiVersion": "v1", "kind": "Binding", "target": {"kind": "Node", "name": "w1"}}
        await api.made("POST", f"{PODS}/p/binding", binding)
        assert await seen.settle() == [("ADDED", "p")]


async def test_one_object_can_be_watched_by_its_name(api: Api) -> None:
    async with watching(api, f"{CONFIG_MAPS}?fieldSelector=metadata.name=b") as seen:
        for name in "abc":
            await api.made("POST", CONFIG_MAPS, config_map(name))
        assert await seen.settle() == [("ADDED", "b")]


async def test_a_quiet_watch_hears_how_far_it_has_come(autojump_clock: object, api: Api) -> None:
    async with watching(api, f"{CONFIG_MAPS}?allowWatchBookmarks=true") as seen:
        await api.made("POST", PODS, pod())
        await trio.sleep(limits.WATCH_BOOKMARK_SECONDS + 1)
        await trio.testing.wait_all_tasks_blocked()
        (event,) = seen.events
    assert event["type"] == "BOOKMARK"
    assert event["object"]["metadata"]["resourceVersion"] == str(api.store.revision)


async def test_no_bookmarks_for_who_has_not_asked(autojump_clock: object, api: Api) -> None:
    async with watching(api, CONFIG_MAPS) as seen:
        await trio.sleep(limits.WATCH_BOOKMARK_SECONDS * 3)
        assert await seen.settle() == []


async def test_a_watch_ends_after_the_time_it_asked_for(autojump_clock: object, api: Api) -> None:
    async with watching(api, f"{CONFIG_MAPS}?timeoutSeconds=5") as seen:
        await trio.sleep(4)
        assert not seen.ended
        await trio.sleep(2)
        assert seen.ended and seen.events == []


async def test_a_start_that_is_forgotten_is_told_410_in_the_stream(api: Api) -> None:
    start = await _revision(api)
    _fill_history(api)
    async with watching(api, f"{CONFIG_MAPS}?resourceVersion={start}") as seen:
        await trio.testing.wait_all_tasks_blocked()
        (event,) = seen.events
        assert event["type"] == "ERROR" and seen.ended
        assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")


async def test_a_reader_that_is_too_slow_is_told_410_and_nobody_waits_for_it(api: Api) -> None:
    stuck = trio.Event()
    start = await _revision(api)
    async with watching(api, f"{CONFIG_MAPS}?resourceVersion={start}") as slow:
        await trio.testing.wait_all_tasks_blocked()
        slow.slow = stuck.wait
        await api.made("POST", CONFIG_MAPS, config_map("c"))
        await trio.testing.wait_all_tasks_blocked()
        _fill_history(api)
        stuck.set()
        assert (await slow.settle())[-1][0] == "ERROR" and slow.ended


async def test_a_watch_as_a_table_tells_its_columns_once(api: Api) -> None:
    await api.made("POST", CONFIG_MAPS, config_map("a"))
    async with watching(api, CONFIG_MAPS, accept=TABLE) as seen:
        await trio.testing.wait_all_tasks_blocked()
        await api.made("POST", CONFIG_MAPS, config_map("b"))
        await api.made("DELETE", f"{CONFIG_MAPS}/b")
        await trio.testing.wait_all_tasks_blocked()
        tables = [(event["type"], event["object"]) for event in seen.events]
    assert [kind for kind, _ in tables] == ["ADDED", "ADDED", "DELETED"]
    assert all(table["kind"] == "Table" and len(table["rows"]) == 1 for _, table in tables)
    assert [bool(table["columnDefinitions"]) for _, table in tables] == [True, False, False]
    assert tables[2][1]["rows"][0]["object"]["metadata"]["name"] == "b"


async def test_two_watches_share_the_bytes_of_a_deletion(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.made("POST", CONFIG_MAPS, config_map("c"))
    encoded: list[str] = []
    encode = codec.encode

    def counting(obj: Any) -> bytes:
        encoded.append(obj.kind)
        return encode(obj)

    async with watching(api, CONFIG_MAPS) as one, watching(api, CONFIG_MAPS) as two:
        await one.settle()
        await two.settle()
        await api.made("DELETE", f"{CONFIG_MAPS}/c")
        monkeypatch.setattr("orchestr8.master.apiserver.verbs.watch.codec.encode", counting)
        assert await one.settle() == await two.settle() == [("DELETED", "c")]
    assert encoded.count("ConfigMap") == 1


async def test_the_number_of_watches_is_counted_until_they_end(api: Api) -> None:
    async with watching(api, CONFIG_MAPS):
        await trio.testing.wait_all_tasks_blocked()
        assert b"orchestr8_api_watches 1" in (await api.call("GET", "/metrics", who=ADMIN)).body
    assert b"orchestr8_api_watches 0" in (await api.call("GET", "/metrics", who=ADMIN)).body


def _fill_history(api: Api) -> None:
    body = {**config_map("filler"), "metadata": {"name": "filler", "namespace": "other"}}
    filler = codec.from_builtins("ConfigMap", body)
    for _ in range(limits.HISTORY_CHANGES + 1):
        api.store.put(filler)
