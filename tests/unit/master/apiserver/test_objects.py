"""Create, read, update, patch and delete, as clients rely on them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from orchestr8.api import codec
from orchestr8.errors import OutcomeUnknown, TooManyRequests, Unavailable
from tests.unit.master.apiserver.samples import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    PODS,
    SERVICES,
    config_map,
    deployment,
    pod,
    service,
)
from tests.unit.master.apiserver.stand_in import Api

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


# -- create -------------------------------------------------------------------------------------------------


async def test_create_fills_in_what_the_server_owns(api: Api) -> None:
    body = config_map(a="1")
    body["metadata"] |= {"uid": "mine", "creationTimestamp": "2000-01-01T00:00:00Z", "generation": 7}
    answer = await api.call("POST", CONFIG_MAPS, body)
    assert answer.status == 201
    meta = answer.value["metadata"]
    assert meta["uid"] not in ("", "mine") and meta["creationTimestamp"] == "2026-01-02T03:04:05Z"
    assert meta["namespace"] == "default" and meta["resourceVersion"] == str(api.store.revision)
    assert "generation" not in meta


async def test_create_drops_a_status_and_fills_in_defaults(api: Api) -> None:
    made = await api.made("POST", PODS, {**pod(), "status": {"phase": "Running", "podIP": "10.0.0.1"}})
    assert made["status"]["phase"] == "Pending" and "podIP" not in made["status"]
    assert made["spec"]["restartPolicy"] == "Always" and made["spec"]["serviceAccountName"] == "default"
    assert made["metadata"]["generation"] == 1


async def test_create_of_a_name_that_is_taken_is_a_conflict(api: Api) -> None:
    await api.made("POST", CONFIG_MAPS, config_map())
    answer = await api.call("POST", CONFIG_MAPS, config_map())
    assert answer.status == 409 and answer.value["reason"] == "AlreadyExists"
    assert answer.value["message"] == 'configmaps "c" already exists'


async def test_generate_name_tries_again_when_its_name_is_taken(api: Api) -> None:
    class SameThenOther:
        def __init__(self) -> None:
            self.suffixes = iter(["aaaaa", "aaaaa", "bbbbb"])
            self.uids = itertools.count()

        def suffix(self, length: int = 5) -> str:
            return next(self.suffixes)

        def uid(self) -> str:
            return f"uid-{next(self.uids)}"

    object.__setattr__(api.deps, "names", SameThenOther())
    body = {**config_map(), "metadata": {"generateName": "c-"}}
    names = [(await api.made("POST", CONFIG_MAPS, body))["metadata"]["name"] for _ in range(2)]
    assert names == ["c-aaaaa", "c-bbbbb"]


async def test_create_needs_a_namespace_that_is_there_and_stays(api: Api) -> None:
    absent = await api.call("POST", "/api/v1/namespaces/none/configmaps", config_map())
    assert absent.status == 404 and absent.value["message"] == 'namespaces "none" not found'
    await api.made("DELETE", "/api/v1/namespaces/other")
    going = await api.call("POST", "/api/v1/namespaces/other/configmaps", config_map())
    assert going.status == 403 and "being terminated" in going.value["message"]


async def test_create_in_another_namespace_than_the_path_says_is_refused(api: Api) -> None:
    body = {**config_map(), "metadata": {"name": "c", "namespace": "other"}}
    assert (await api.call("POST", CONFIG_MAPS, body)).status == 400


async def test_a_dry_run_does_everything_but_write(api: Api) -> None:
    before = api.store.revision
    made = await api.made("POST", f"{DEPLOYMENTS}?dryRun=All", deployment())
    assert made["metadata"]["uid"] and made["spec"]["strategy"]["type"] == "RollingUpdate"
    assert api.store.revision == before
    assert (await api.call("POST", f"{CONFIG_MAPS}?dryRun=Some", config_map())).status == 422
    await api.made("POST", CONFIG_MAPS, config_map())
    assert (await api.call("POST", f"{CONFIG_MAPS}?dryRun=All", config_map())).status == 409
    assert (await api.call("DELETE", f"{CONFIG_MAPS}/c?dryRun=All")).status == 200
    assert (await api.call("GET", f"{CONFIG_MAPS}/c")).status == 200


@pytest.mark.parametrize(
    ("validation", "status", "warned"), [("Strict", 400, False), ("Warn", 201, True), ("Ignore", 201, False)]
)
async def test_unknown_and_repeated_fields(api: Api, validation: str, status: int, warned: bool) -> None:
    body = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c","name":"c"},"daata":{}}'
    answer = await api.call("POST", f"{CONFIG_MAPS}?fieldValidation={validation}", body)
    assert answer.status == status
    if warned:
        assert answer.warnings == ['299 - "duplicate field \\"metadata.name\\""', '299 - "unknown field \\"daata\\""']
    elif status == 400:
        assert 'unknown field "daata"' in answer.value["message"]
        assert 'duplicate field "metadata.name"' in answer.value["message"]
    else:
        assert answer.warnings == []


async def test_an_ill_typed_field_is_named(api: Api) -> None:
    body = deployment()
    body["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": "x"}]
    answer = await api.call("POST", DEPLOYMENTS, body)
    assert answer.status == 400
    assert "spec.template.spec.containers[0].ports[0].containerPort" in answer.value["message"]


async def test_every_broken_rule_is_one_cause(api: Api) -> None:
    body = deployment(replicas=-1)
    body["spec"]["template"]["spec"]["containers"][0]["name"] = "Not a name"
    answer = await api.call("POST", DEPLOYMENTS, body)
    assert answer.status == 422 and answer.value["reason"] == "Invalid"
    fields = {cause["field"] for cause in answer.value["details"]["causes"]}
    assert fields == {"spec.replicas", "spec.template.spec.containers[0].name"}


async def test_fields_that_are_not_run_are_named_or_refused(api: Api) -> None:
    warned = await api.call("POST", PODS, pod(schedulerName="mine"))
    assert warned.status == 201 and "spec.schedulerName" in warned.warnings[0]
    refused = await api.call(
        "POST", PODS, pod("q", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}])
    )
    assert refused.status == 422 and "spec.volumes[0].persistentVolumeClaim" in refused.value["message"]


async def test_a_service_gets_its_address_in_the_answer(api: Api) -> None:
    made = await api.made("POST", SERVICES, service(type="NodePort"))
    assert made["spec"]["clusterIP"].startswith("10.96.") and made["spec"]["clusterIPs"] == [made["spec"]["clusterIP"]]
    assert 30000 <= made["spec"]["ports"][0]["nodePort"] <= 32767
    taken = await api.call("POST", SERVICES, service("two", clusterIP=made["spec"]["clusterIP"]))
    assert taken.status == 422 and "already allocated" in taken.value["message"]


async def test_an_object_that_is_too_large_is_refused_by_its_field(api: Api) -> None:
    answer = await api.call("POST", CONFIG_MAPS, config_map(a="x" * 1_200_000))
    assert answer.status == 422
    assert {cause["field"] for cause in answer.value["details"]["causes"]} >= {"data"}


# -- update and patch ---------------------------------------------------------------------------------------


async def test_the_second_of_two_updates_with_one_version_is_a_conflict(api: Api) -> None:
    made = await api.made("POST", CONFIG_MAPS, config_map(a="1"))
    await api.made("PUT", f"{CONFIG_MAPS}/c", {**made, "data": {"a": "2"}})
    late = await api.call("PUT", f"{CONFIG_MAPS}/c", {**made, "data": {"a": "3"}})
    assert late.status == 409 and late.value["reason"] == "Conflict"
    assert "the object has been modified" in late.value["message"]
    del made["metadata"]["resourceVersion"]
    assert (await api.made("PUT", f"{CONFIG_MAPS}/c", {**made, "data": {"a": "4"}}))["data"] == {"a": "4"}


async def test_an_update_cannot_change_what_the_server_owns(api: Api) -> None:
    made = await api.made("POST", DEPLOYMENTS, deployment())
    forged = {**made, "status": {"replicas": 9}}
    forged["metadata"] = {**made["metadata"], "creationTimestamp": "2000-01-01T00:00:00Z", "generation": 99}
    assert await api.made("PUT", f"{DEPLOYMENTS}/web", forged) == made
    forged["metadata"] = {**made["metadata"], "uid": "another"}
    assert (await api.call("PUT", f"{DEPLOYMENTS}/web", forged)).status == 409
    forged["metadata"] = {**made["metadata"], "name": "other"}
    assert (await api.call("PUT", f"{DEPLOYMENTS}/web", forged)).status == 400


async def test_generation_grows_with_the_spec_and_nothing_else(api: Api) -> None:
    await api.made("POST", DEPLOYMENTS, deployment())

    async def patched(body: Any, path: str = "") -> int:
        changed = await api.made("PATCH", f"{DEPLOYMENTS}/web{path}", body, content_type=MERGE)
        return changed["metadata"]["generation"]  # type: ignore[no-any-return]

    assert await patched({"metadata": {"labels": {"a": "b"}}}) == 1
    assert await patched({"spec": {"replicas": 5}}) == 2
    assert await patched({"spec": {"replicas": 5}}) == 2
    assert await patched({"status": {"replicas": 1}, "spec": {"replicas": 7}}, "/status") == 2
    now = await api.made("GET", f"{DEPLOYMENTS}/web")
    assert now["spec"]["replicas"] == 5 and now["status"]["replicas"] == 1


async def test_a_change_that_changes_nothing_writes_nothing(api: Api) -> None:
    made = await api.made("POST", CONFIG_MAPS, config_map(a="1"))
    before = api.store.revision
    assert await api.made("PUT", f"{CONFIG_MAPS}/c", made) == made
    assert await api.made("PATCH", f"{CONFIG_MAPS}/c", {"data": {"a": "1"}}, content_type=MERGE) == made
    assert api.store.revision == before


async def test_three_patches(api: Api) -> None:
    await api.made("POST", DEPLOYMENTS, deployment())
    path = f"{DEPLOYMENTS}/web"
    env = {"spec": {"template": {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]}}}}
    container = (await api.made("PATCH", path, env, content_type=STRATEGIC))["spec"]["template"]["spec"]["containers"][
        0
    ]
    assert container["image"] == "registry/main:1" and container["env"] == [{"name": "A", "value": "1"}]
    replace = [{"op": "replace", "path": "/spec/replicas", "value": 9}]
    assert (await api.made("PATCH", path, replace, content_type=JSON_PATCH))["spec"]["replicas"] == 9
    assert (await api.call("PATCH", path, {}, content_type="application/apply-patch+yaml")).status == 415
    failed = [{"op": "test", "path": "/spec/replicas", "value": 1}]
    assert (await api.call("PATCH", path, failed, content_type=JSON_PATCH)).status == 422
    assert (await api.call("PATCH", path, {"spec": {"replicaas": 1}}, content_type=MERGE)).warnings
    strict = await api.call("PATCH", f"{path}?fieldValidation=Strict", {"spec": {"replicaas": 1}}, content_type=MERGE)
    assert strict.status == 400 and "spec.replicaas" in strict.value["message"]


async def test_a_patch_may_name_the_version_it_was_made_for(api: Api) -> None:
    made = await api.made("POST", CONFIG_MAPS, config_map(a="1"))
    body = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"a": "2"}}
    assert (await api.call("PATCH", f"{CONFIG_MAPS}/c", body, content_type=MERGE)).status == 200
    assert (await api.call("PATCH", f"{CONFIG_MAPS}/c", body, content_type=MERGE)).status == 409


async def test_what_must_not_change_is_refused(api: Api) -> None:
    await api.made("POST", DEPLOYMENTS, deployment())
    selector = {"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {"metadata": {"labels": {"app": "x"}}}}}
    answer = await api.call("PATCH", f"{DEPLOYMENTS}/web", selector, content_type=MERGE)
    assert answer.status == 422 and "spec.selector" in answer.value["message"]


async def test_a_replaced_service_keeps_its_address(api: Api) -> None:
    made = await api.made("POST", SERVICES, service())
    replaced = await api.made("PUT", f"{SERVICES}/web", service(selector={"a": "b"}))
    assert replaced["spec"]["clusterIP"] == made["spec"]["clusterIP"]


# -- on a master that is behind -----------------------------------------------------------------------------


def _stored(**data: str) -> Any:
    return codec.from_builtins("ConfigMap", {**config_map(**data), "metadata": {"name": "c", "namespace": "default"}})


async def test_a_follower_that_is_behind_still_answers_rightly(api: Api) -> None:
    api.store.lagging = True
    api.store.put(_stored(a="1"))
    assert (await api.made("PATCH", f"{CONFIG_MAPS}/c", {"data": {"b": "2"}}, content_type=MERGE))["data"] == {
        "a": "1",
        "b": "2",
    }
    api.store.put(_stored(a="9"))
    # This master still sees b=2: that is no reason to believe that there is nothing to do.
    assert (await api.made("PATCH", f"{CONFIG_MAPS}/c", {"data": {"b": "2"}}, content_type=MERGE))["data"] == {
        "a": "9",
        "b": "2",
    }


async def test_a_patch_that_is_overtaken_is_made_again(api: Api) -> None:
    await api.made("POST", CONFIG_MAPS, config_map(a="1"))
    api.store.lagging = True
    api.store.put(_stored(a="7"))
    assert (await api.made("PATCH", f"{CONFIG_MAPS}/c", {"data": {"b": "2"}}, content_type=MERGE))["data"] == {
        "a": "7",
        "b": "2",
    }


# -- delete -------------------------------------------------------------------------------------------------


async def test_delete_answers_with_the_uid_of_what_went(api: Api) -> None:
    made = await api.made("POST", CONFIG_MAPS, config_map())
    gone = await api.made("DELETE", f"{CONFIG_MAPS}/c")
    assert gone["status"] == "Success"
    assert gone["details"] == {"name": "c", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    assert (await api.call("DELETE", f"{CONFIG_MAPS}/c")).status == 404


async def test_a_pod_on_a_node_is_marked_and_then_waits_for_its_node(api: Api) -> None:
    await api.made("POST", PODS, pod(nodeName="w1"))
    marked = await api.made(
        "DELETE", f"{PODS}/p", {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 7}
    )
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 7
    assert marked["metadata"]["deletionTimestamp"] == "2026-01-02T03:04:12Z"
    assert (await api.call("GET", f"{PODS}/p")).status == 200
    assert (await api.made("DELETE", f"{PODS}/p?gracePeriodSeconds=0"))["status"] == "Success"


async def test_the_last_finalizer_taken_away_removes_the_object(api: Api) -> None:
    body = {**config_map(), "metadata": {"name": "c", "finalizers": ["a.example/b"]}}
    await api.made("POST", CONFIG_MAPS, body)
    assert (await api.made("DELETE", f"{CONFIG_MAPS}/c"))["metadata"]["deletionTimestamp"]
    await api.made("PATCH", f"{CONFIG_MAPS}/c", {"metadata": {"finalizers": None}}, content_type=MERGE)
    assert (await api.call("GET", f"{CONFIG_MAPS}/c")).status == 404


async def test_preconditions_of_a_delete(api: Api) -> None:
    await api.made("POST", CONFIG_MAPS, config_map())
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "another"}}
    assert (await api.call("DELETE", f"{CONFIG_MAPS}/c", options)).status == 409


async def test_foreground_and_orphan_leave_a_finalizer_for_the_collector(api: Api) -> None:
    for name, policy, finalizer in (("a", "Foreground", "foregroundDeletion"), ("b", "Orphan", "orphan")):
        await api.made("POST", DEPLOYMENTS, deployment(name))
        marked = await api.made("DELETE", f"{DEPLOYMENTS}/{name}?propagationPolicy={policy}")
        assert marked["metadata"]["finalizers"] == [finalizer]
    assert (await api.call("DELETE", f"{DEPLOYMENTS}/a?propagationPolicy=Sideways")).status == 422


async def test_delete_of_a_collection_follows_the_selector(api: Api) -> None:
    for name in ("a", "b", "c"):
        await api.made("POST", CONFIG_MAPS, config_map(name, {"n": name}))
    await api.made("DELETE", f"{CONFIG_MAPS}?labelSelector=n in (a,b)")
    left = await api.made("GET", CONFIG_MAPS)
    assert [item["metadata"]["name"] for item in left["items"]] == ["c"]


async def test_the_namespaces_of_the_system_cannot_be_deleted(api: Api) -> None:
    assert (await api.call("DELETE", "/api/v1/namespaces/default")).status == 403


async def test_a_namespace_goes_when_its_finalizer_is_gone(api: Api) -> None:
    marked = await api.made("DELETE", "/api/v1/namespaces/other")
    assert marked["status"]["phase"] == "Terminating"
    await api.made("PUT", "/api/v1/namespaces/other/finalize", {**marked, "spec": {"finalizers": []}})
    assert (await api.call("GET", "/api/v1/namespaces/other")).status == 404


# -- subresources -------------------------------------------------------------------------------------------


async def test_scale_reads_and_writes_only_the_replicas(api: Api) -> None:
    await api.made("POST", DEPLOYMENTS, deployment())
    scale = await api.made("GET", f"{DEPLOYMENTS}/web/scale")
    assert scale["kind"] == "Scale" and scale["spec"]["replicas"] == 2 and scale["status"]["selector"] == "app=web"
    scaled = await api.made("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 4}}, content_type=MERGE)
    assert scaled["spec"]["replicas"] == 4
    assert (await api.made("GET", f"{DEPLOYMENTS}/web"))["metadata"]["generation"] == 2
    late = await api.call("PUT", f"{DEPLOYMENTS}/web/scale", {**scale, "spec": {"replicas": 1}})
    assert late.status == 409
    down = {"spec": {"replicas": -1}}
    assert (await api.call("PATCH", f"{DEPLOYMENTS}/web/scale", down, content_type=MERGE)).status == 422


async def test_a_pod_is_bound_once(api: Api) -> None:
    await api.made("POST", PODS, pod())
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": "w1"},
    }
    assert (await api.call("POST", f"{PODS}/p/binding", binding)).status == 201
    bound = await api.made("GET", f"{PODS}/p")
    assert bound["spec"]["nodeName"] == "w1"
    assert {each["type"]: each["status"] for each in bound["status"]["conditions"]} == {"PodScheduled": "True"}
    assert (await api.call("POST", f"{PODS}/p/binding", binding)).status == 409


async def test_an_eviction_deletes_with_the_grace_it_gives(api: Api) -> None:
    await api.made("POST", PODS, pod(nodeName="w1"))
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p", "namespace": "default"}}
    dry = {**eviction, "deleteOptions": {"dryRun": ["All"]}}
    assert (await api.call("POST", f"{PODS}/p/eviction", dry)).status == 201
    assert "deletionTimestamp" not in (await api.made("GET", f"{PODS}/p"))["metadata"]
    assert (await api.call("POST", f"{PODS}/p/eviction", eviction)).status == 201
    assert (await api.made("GET", f"{PODS}/p"))["metadata"]["deletionGracePeriodSeconds"] == 30


# -- when the store cannot ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unavailable("no leader"), 503),
        (OutcomeUnknown("perhaps"), 504),
        (TooManyRequests("full", retry_after_seconds=2), 429),
    ],
)
async def test_trouble_of_the_store_becomes_a_status(api: Api, error: Exception, status: int) -> None:
    api.store.refuse = lambda txn: error
    answer = await api.call("POST", CONFIG_MAPS, config_map())
    assert answer.status == status and answer.value["kind"] == "Status"
    assert answer.headers["retry-after"] == ("2" if status == 429 else "1")


async def test_a_bug_is_answered_with_500_and_counted(api: Api) -> None:
    api.store.refuse = lambda txn: KeyError("a bug")
    answer = await api.call("POST", CONFIG_MAPS, config_map())
    assert answer.status == 500 and "bug" not in answer.value["message"]
    assert b"orchestr8_api_unforeseen_errors_total 1" in (await api.call("GET", "/metrics")).body
