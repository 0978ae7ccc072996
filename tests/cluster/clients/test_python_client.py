"""The official Python client: typed objects, watches, exec and errors."""

# The client's own types say less than the API promises.
# mypy: disable-error-code="union-attr,index,no-untyped-call,arg-type,operator"

from __future__ import annotations

import contextlib
import gc
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.cluster.clients.objects import AT_TERMINAL, LET_GO, WAIT, deployment, pod
from tests.cluster.clients.programs import Program

kubernetes = pytest.importorskip("kubernetes")
from kubernetes import client, config, dynamic, watch  # noqa: E402
from kubernetes.client.exceptions import ApiException  # noqa: E402
from kubernetes.stream import stream  # noqa: E402
from kubernetes.stream.ws_client import RESIZE_CHANNEL  # noqa: E402

_WATCH_SECONDS = 30

# The client leaves the connections of its watches to the garbage collector; ``api`` sees to it that they go while
# this file's filter holds.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


@pytest.fixture
def api(kubectl: Program) -> Iterator[Any]:
    """A client of the namespace ``kubectl.namespace``."""
    with config.new_client_from_config(str(kubectl.kubeconfig)) as found:
        yield found
    del found
    gc.collect()


def _config_map(name: str, **data: str) -> Any:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name), data=data)


def test_create_read_update_patch_delete(api: Any, kubectl: Program) -> None:
    core, here = client.CoreV1Api(api), kubectl.namespace
    made = core.create_namespaced_config_map(here, _config_map("c", a="1"))
    assert made.metadata.uid and made.metadata.creation_timestamp
    read = core.read_namespaced_config_map("c", here)
    read.data["b"] = "2"
    assert core.replace_namespaced_config_map("c", here, read).data == {"a": "1", "b": "2"}
    with pytest.raises(ApiException) as overtaken:
        core.replace_namespaced_config_map("c", here, read)
    assert overtaken.value.status == 409
    assert core.patch_namespaced_config_map("c", here, {"data": {"a": None}}).data == {"b": "2"}
    told = core.delete_namespaced_config_map("c", here)
    assert told["status"] == "Success" and told["details"]["uid"] == made.metadata.uid
    with pytest.raises(ApiException) as gone:
        core.read_namespaced_config_map("c", here)
    assert gone.value.status == 404 and gone.value.reason == "Not Found"


def test_every_list_can_be_read_as_typed_objects(api: Any, kubectl: Program) -> None:
    core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
    apps.create_namespaced_deployment(kubectl.namespace, deployment(replicas=1))
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert apps.list_namespaced_deployment(kubectl.namespace).items[0].status.ready_replicas == 1
    assert apps.list_replica_set_for_all_namespaces().items
    assert core.list_node().items and core.list_namespace().items
    assert core.list_pod_for_all_namespaces(field_selector="status.phase=Running").items
    assert core.list_namespaced_event(kubectl.namespace).items
    assert core.list_namespaced_service_account(kubectl.namespace).items
    core.list_service_for_all_namespaces()
    core.list_endpoints_for_all_namespaces()
    core.list_secret_for_all_namespaces()
    client.DiscoveryV1Api(api).list_endpoint_slice_for_all_namespaces()
    client.CoordinationV1Api(api).list_lease_for_all_namespaces()


def test_pages_are_one_snapshot(api: Any, kubectl: Program) -> None:
    core, here = client.CoreV1Api(api), kubectl.namespace
    for index in range(5):
        core.create_namespaced_config_map(here, _config_map(f"c{index}"))
    first = core.list_namespaced_config_map(here, limit=2)
    assert first.metadata.remaining_item_count == 3
    core.delete_namespaced_config_map("c3", here)
    core.create_namespaced_config_map(here, _config_map("c9"))
    second = core.list_namespaced_config_map(here, limit=100, _continue=first.metadata._continue)
    assert [item.metadata.name for item in second.items] == ["c2", "c3", "c4"]
    assert second.metadata.resource_version == first.metadata.resource_version


def test_a_watch_from_a_list_misses_nothing(api: Any, kubectl: Program) -> None:
    core, here = client.CoreV1Api(api), kubectl.namespace
    start = core.list_namespaced_config_map(here).metadata.resource_version
    core.create_namespaced_config_map(here, _config_map("c", a="1"))
    core.patch_namespaced_config_map("c", here, {"data": {"a": "2"}})
    core.delete_namespaced_config_map("c", here)
    events = watch.Watch().stream(
        core.list_namespaced_config_map, here, resource_version=start, timeout_seconds=_WATCH_SECONDS
    )
    with contextlib.closing(events):
        seen = [(event["type"], event["object"].data) for event in itertools.islice(events, 3)]
    assert seen == [("ADDED", {"a": "1"}), ("MODIFIED", {"a": "2"}), ("DELETED", {"a": "2"})]


def test_a_watch_with_a_selector_sees_objects_come_and_go(api: Any, kubectl: Program) -> None:
    core, here = client.CoreV1Api(api), kubectl.namespace
    core.create_namespaced_config_map(here, _config_map("c"))
    start = core.list_namespaced_config_map(here).metadata.resource_version
    core.patch_namespaced_config_map("c", here, {"metadata": {"labels": {"in": "yes"}}})
    core.patch_namespaced_config_map("c", here, {"metadata": {"labels": {"in": "no"}}})
    events = watch.Watch().stream(
        core.list_namespaced_config_map,
        here,
        label_selector="in=yes",
        resource_version=start,
        timeout_seconds=_WATCH_SECONDS,
    )
    with contextlib.closing(events):
        assert [event["type"] for event in itertools.islice(events, 2)] == ["ADDED", "DELETED"]


def test_a_watch_from_too_long_ago_is_told_410(api: Any, kubectl: Program) -> None:
    core = client.CoreV1Api(api)
    newest = int(core.list_namespace().metadata.resource_version)
    with pytest.raises(ApiException) as expired:
        list(
            watch.Watch().stream(
                core.list_namespaced_config_map,
                kubectl.namespace,
                resource_version=str(newest + 1_000_000),
                timeout_seconds=_WATCH_SECONDS,
            )
        )
    assert expired.value.status == 410


def test_exec_with_output_input_and_exit_code(api: Any, kubectl: Program) -> None:
    core, here = client.CoreV1Api(api), kubectl.namespace
    core.create_namespaced_pod(here, pod("p"))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    told = stream(
        core.connect_get_namespaced_pod_exec,
        "p",
        here,
        command=["sh", "-c", "echo out"],
        stdout=True,
        stderr=True,
        stdin=False,
        tty=False,
    )
    assert told == "out\n"
    session = stream(
        core.connect_get_namespaced_pod_exec,
        "p",
        here,
        command=["sh", "-c", "echo out; echo err >&2; exit 4"],
        stdout=True,
        stderr=True,
        stdin=True,
        tty=False,
        _preload_content=False,
    )
    session.run_forever(timeout=20)
    assert (session.read_stdout(), session.read_stderr(), session.returncode) == ("out\n", "err\n", 4)


def test_exec_with_a_terminal(api: Any, kubectl: Program) -> None:
    core, here = client.CoreV1Api(api), kubectl.namespace
    core.create_namespaced_pod(here, pod("p"))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    session = stream(
        core.connect_get_namespaced_pod_exec,
        "p",
        here,
        command=["sh", "-c", AT_TERMINAL],
        stdout=True,
        stderr=False,
        stdin=True,
        tty=True,
        _preload_content=False,
    )
    session.write_channel(RESIZE_CHANNEL, '{"Width":132,"Height":50}')
    session.write_stdin("word\n")
    shown = ""
    while "<word>" not in shown or "50 132" not in shown:
        shown += session.read_stdout(timeout=20)
    session.write_stdin("\x03")
    session.run_forever(timeout=20)
    assert session.returncode == 7


def test_logs_whole_and_followed_to_the_end(api: Any, kubectl: Program) -> None:
    core, here = client.CoreV1Api(api), kubectl.namespace
    core.create_namespaced_pod(here, pod("p", f"echo one; {WAIT}; echo two", restartPolicy="Never"))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    with contextlib.closing(watch.Watch().stream(core.read_namespaced_pod_log, "p", here)) as lines:
        assert next(lines) == "one"
        kubectl("exec", "p", "--", *LET_GO)
        assert list(lines) == ["two"]
    assert core.read_namespaced_pod_log("p", here) == "one\ntwo\n"
    assert core.read_namespaced_pod_log("p", here, tail_lines=1) == "two\n"


def test_a_rollout_seen_through_a_watch(api: Any, kubectl: Program) -> None:
    apps, here = client.AppsV1Api(api), kubectl.namespace
    start = apps.list_namespaced_deployment(here).metadata.resource_version
    apps.create_namespaced_deployment(here, deployment(replicas=2))
    events = watch.Watch().stream(
        apps.list_namespaced_deployment, here, resource_version=start, timeout_seconds=_WATCH_SECONDS
    )
    with contextlib.closing(events):
        ready = [event["object"].status.ready_replicas or 0 for event in _until(events, _is_complete)]
    assert ready[0] == 0 and ready[-1] == 2 and ready == sorted(ready)
    apps.patch_namespaced_deployment_scale("web", here, {"spec": {"replicas": 0}})
    assert apps.read_namespaced_deployment_scale("web", here).spec.replicas in (0, None)


def _is_complete(event: Any) -> bool:
    return bool(event["object"].status.ready_replicas == 2)


def _until(events: Iterable[Any], holds: Callable[[Any], bool]) -> Iterator[Any]:
    """Up to and with the first that ``holds``."""
    for event in events:
        yield event
        if holds(event):
            return
    raise AssertionError("the events ended before")


def test_eviction_and_deletion_of_a_collection(api: Any, kubectl: Program) -> None:
    core, here = client.CoreV1Api(api), kubectl.namespace
    for name in ("a", "b", "c"):
        core.create_namespaced_pod(here, pod(name))
    core.create_namespaced_pod_eviction("a", here, client.V1Eviction(metadata=client.V1ObjectMeta(name="a")))
    kubectl("wait", "--for=delete", "pod/a", "--timeout=30s")
    core.delete_collection_namespaced_pod(here, label_selector="app=b")
    kubectl("wait", "--for=delete", "pod/b", "--timeout=30s")
    assert [item.metadata.name for item in core.list_namespaced_pod(here).items] == ["c"]


def test_patch_by_operations(api: Any, kubectl: Program) -> None:
    core, here = client.CoreV1Api(api), kubectl.namespace
    core.create_namespaced_config_map(here, _config_map("c", a="1"))
    steps = [{"op": "test", "path": "/data/a", "value": "1"}, {"op": "replace", "path": "/data/a", "value": "2"}]
    assert core.patch_namespaced_config_map("c", here, steps).data == {"a": "2"}
    with pytest.raises(ApiException) as refused:
        core.patch_namespaced_config_map("c", here, steps)
    assert refused.value.status == 422


def test_the_dynamic_client_finds_its_way(api: Any, kubectl: Program) -> None:
    found = dynamic.DynamicClient(api, cache_file=str(kubectl.home / "discovery"))
    deployments = found.resources.get(api_version="apps/v1", kind="Deployment")
    deployments.create(body=deployment(replicas=0), namespace=kubectl.namespace)
    scale = deployments.scale.get(name="web", namespace=kubectl.namespace)
    assert scale.kind == "Scale" and scale.spec.replicas in (0, None)
    assert deployments.get(name="web", namespace=kubectl.namespace).metadata.generation == 1


def test_errors_carry_their_causes(api: Any, kubectl: Program) -> None:
    wrong = deployment()
    wrong["spec"]["template"]["spec"]["containers"][0]["name"] = "Not A Name"
    with pytest.raises(ApiException) as refused:
        client.AppsV1Api(api).create_namespaced_deployment(kubectl.namespace, wrong)
    assert refused.value.status == 422
    assert '"field":"spec.template.spec.containers[0].name"' in refused.value.body
