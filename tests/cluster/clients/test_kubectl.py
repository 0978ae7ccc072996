"""The real kubectl, command by command."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.clients.objects import (
    AT_TERMINAL,
    IMAGE,
    LET_GO,
    NO_IMAGE,
    OTHER_IMAGE,
    WAIT,
    Object,
    config_map,
    deployment,
    pod,
    service,
)
from tests.cluster.clients.programs import Program, kubeconfig_of

_PATIENCE_SECONDS = 30


def _apply(kubectl: Program, *objects: Object, words: tuple[str, ...] = ()) -> str:
    text = "\n---\n".join(json.dumps(obj) for obj in objects)
    return kubectl("apply", *words, "-f", "-", stdin=text).stdout


def _get(kubectl: Program, *words: str) -> Object:
    found: Object = json.loads(kubectl.out("get", *words, "-o", "json"))
    return found


def _until(kubectl: Program, words: tuple[str, ...], wanted: str) -> None:
    _until_some(kubectl, words, wanted.__eq__)


def _until_some(kubectl: Program, words: tuple[str, ...], holds: Callable[[str], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds(seen := kubectl.out(*words)):
        assert time.monotonic() < deadline, f"kubectl {' '.join(words)} still says {seen!r}"


def _rolled_out(kubectl: Program, *objects: Object) -> None:
    _apply(kubectl, *objects)
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")


# -- apply, diff, create, replace ---------------------------------------------------------------------------


def test_apply_creates_then_changes_then_leaves_alone(kubectl: Program) -> None:
    assert "deployment.apps/web created" in _apply(kubectl, deployment(), service())
    assert "deployment.apps/web unchanged" in _apply(kubectl, deployment(), service())
    told = _apply(kubectl, deployment(replicas=1), service())
    assert "deployment.apps/web configured" in told and "service/web unchanged" in told


def test_apply_takes_away_what_the_file_no_longer_says(kubectl: Program) -> None:
    _apply(kubectl, config_map("c", a="1", b="2"))
    _apply(kubectl, config_map("c", a="1"))
    assert kubectl.out("get", "cm", "c", "-o", "jsonpath={.data}") == '{"a":"1"}'


def test_apply_as_a_dry_run_on_the_server_changes_nothing(kubectl: Program) -> None:
    assert "created (server dry run)" in _apply(kubectl, deployment(), words=("--dry-run=server",))
    kubectl("get", "deployment", "web", code=1)


def test_diff_says_what_apply_would_change(kubectl: Program) -> None:
    _apply(kubectl, deployment(replicas=1))
    assert kubectl("diff", "-f", "-", stdin=json.dumps(deployment(replicas=1))).stdout == ""
    told = kubectl("diff", "-f", "-", stdin=json.dumps(deployment(replicas=3)), code=1).stdout
    assert "-  replicas: 1" in told and "+  replicas: 3" in told


def test_create_and_replace_from_a_file(kubectl: Program) -> None:
    kubectl("create", "-f", "-", stdin=json.dumps(service()))
    told = kubectl("create", "-f", "-", stdin=json.dumps(service()), code=1).stderr
    assert 'Error from server (AlreadyExists): error when creating "STDIN": services "web" already exists' in told
    before = _get(kubectl, "service", "web")
    changed = service()
    changed["metadata"]["labels"] = {"tier": "front"}
    kubectl("replace", "-f", "-", stdin=json.dumps(changed))
    after = _get(kubectl, "service", "web")
    assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"] != ""
    assert after["metadata"]["labels"] == {"tier": "front"}


def test_a_misspelt_field_is_refused_with_its_path(kubectl: Program) -> None:
    wrong = deployment()
    wrong["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    told = kubectl("apply", "-f", "-", stdin=json.dumps(wrong), code=1).stderr
    assert 'unknown field "spec.template.spec.containers[0].imagee"' in told


def test_a_misspelt_field_is_a_warning_or_nothing_for_whom_asks_so(kubectl: Program) -> None:
    wrong = config_map("c", a="1")
    wrong["metadata"]["label"] = {"a": "b"}
    told = kubectl("apply", "--validate=warn", "-f", "-", stdin=json.dumps(wrong))
    assert 'Warning: unknown field "metadata.label"' in told.stderr and "configmap/c created" in told.stdout
    kubectl("delete", "cm", "c")
    told = kubectl("apply", "--validate=ignore", "-f", "-", stdin=json.dumps(wrong))
    assert told.stderr == "" and "configmap/c created" in told.stdout


def test_an_ill_typed_field_is_refused_with_its_path(kubectl: Program) -> None:
    wrong = deployment()
    wrong["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": "http"}]
    told = kubectl("create", "-f", "-", stdin=json.dumps(wrong), code=1).stderr
    assert "spec.template.spec.containers[0].ports[0].containerPort" in told


def test_an_invalid_object_is_refused_with_every_complaint(kubectl: Program) -> None:
    wrong = deployment()
    wrong["spec"]["replicas"] = -1
    wrong["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    told = kubectl("apply", "-f", "-", stdin=json.dumps(wrong), code=1).stderr
    assert "spec.replicas" in told and "spec.template.metadata.labels" in told


def test_a_field_without_effect_is_named_in_a_warning(kubectl: Program) -> None:
    told = kubectl("apply", "-f", "-", stdin=json.dumps(pod("p", schedulerName="other"))).stderr
    assert "Warning: spec." in told


# -- get ----------------------------------------------------------------------------------------------------


def test_get_in_every_form(kubectl: Program) -> None:
    _rolled_out(kubectl, deployment(), service())
    assert kubectl.out("get", "pods").splitlines()[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    wide = kubectl.out("get", "pods", "-o", "wide").splitlines()
    assert wide[0].split()[5:7] == ["IP", "NODE"] and all(line.split()[1:3] == ["1/1", "Running"] for line in wide[1:])
    assert kubectl.out("get", "deploy", "-o", "wide").split()[5:8] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert kubectl.out("get", "svc", "-o", "wide").splitlines()[1].split()[1] == "ClusterIP"
    assert {"INTERNAL-IP", "OS-IMAGE", "CONTAINER-RUNTIME"} <= set(kubectl.out("get", "nodes", "-o", "wide").split())
    assert kubectl.out("get", "deploy", "-o", "name") == "deployment.apps/web"
    assert "kind: Deployment" in kubectl.out("get", "deploy", "web", "-o", "yaml")
    assert kubectl.out("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "2"
    assert len(kubectl.out("get", "pods", "-l", "app=web", "--no-headers").splitlines()) == 2
    assert kubectl("get", "pods", "-l", "app!=web").stderr.startswith("No resources found")
    nodes = {line.split()[6] for line in wide[1:]}
    for node in nodes:
        named = kubectl.out("get", "pods", "--field-selector", f"spec.nodeName={node}", "-o", "name").splitlines()
        assert len(named) == sum(line.split()[6] == node for line in wide[1:])
    every = kubectl.out("get", "all")
    assert all(f"{kind}/web" in every for kind in ("pod", "service", "deployment.apps", "replicaset.apps"))
    assert "web" in kubectl.out("get", "pods", "-A", "--sort-by=.metadata.name")
    assert kubectl.out("get", "deploy", "--no-headers", "-o", "custom-columns=A:.metadata.name,B:.kind").split() == [
        "web",
        "Deployment",
    ]
    assert kubectl.out("get", "po", "--show-labels").count("app=web,pod-template-hash=") == 2


def test_a_selector_on_an_unknown_field_is_refused(kubectl: Program) -> None:
    told = kubectl("get", "pods", "--field-selector", "spec.nonsense=1", code=1).stderr
    assert "field label not supported: spec.nonsense" in told


def test_get_of_what_is_not_there(kubectl: Program) -> None:
    assert 'Error from server (NotFound): pods "none" not found' in kubectl("get", "pod", "none", code=1).stderr


def test_get_in_pages_gives_everything_once(kubectl: Program) -> None:
    _apply(kubectl, *(config_map(f"c{index}") for index in range(7)))
    names = kubectl.out("get", "cm", "--chunk-size=2", "-o", "name").splitlines()
    assert names == [f"configmap/c{index}" for index in range(7)]


def test_get_watch_shows_changes_as_they_come(kubectl: Program) -> None:
    _apply(kubectl, deployment(replicas=0))
    with kubectl.running("get", "deployment", "web", "-w") as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline().split()[:2] == ["NAME", "READY"]
        assert watch.stdout.readline().split()[:2] == ["web", "0/0"]
        kubectl("scale", "deployment/web", "--replicas=1")
        while watch.stdout.readline().split()[1] != "1/1":
            pass


def test_describe_tells_of_pods_deployments_services_and_nodes(kubectl: Program) -> None:
    _rolled_out(kubectl, deployment(), service())
    assert "Scaled up replica set" in kubectl.out("describe", "deployment", "web")
    name = kubectl.out("get", "pods", "-o", "name").splitlines()[0]
    started = ("get", "events", "--field-selector", f"reason=Started,involvedObject.name={name.removeprefix('pod/')}")
    _until(kubectl, (*started, "-o", "jsonpath={.items[*].message}"), "Started container main")
    described = kubectl.out("describe", name)
    assert "Controlled By:  ReplicaSet/web-" in described and "Started container main" in described
    assert "Endpoints:" in kubectl.out("describe", "service", "web")
    node = kubectl.out("get", "nodes", "-o", "name").splitlines()[0].removeprefix("node/")
    assert "Allocatable:" in kubectl.out("describe", "node", node)


# -- changing -----------------------------------------------------------------------------------------------


def test_scale_and_rollout_through_several_revisions(kubectl: Program) -> None:
    _rolled_out(kubectl, deployment())
    kubectl("scale", "deployment/web", "--replicas=3")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    kubectl("set", "image", "deployment/web", f"main={OTHER_IMAGE}")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    history = kubectl.out("rollout", "history", "deployment/web").splitlines()
    assert [line.split()[0] for line in history[2:]] == ["1", "2"]
    assert OTHER_IMAGE in kubectl.out("rollout", "history", "deployment/web", "--revision=2")
    kubectl("rollout", "undo", "deployment/web", "--to-revision=1")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert [line.split()[0] for line in kubectl.out("rollout", "history", "deployment/web").splitlines()[2:]] == [
        "2",
        "3",
    ]
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert kubectl.out("get", "deployment", "web", "-o", image) == IMAGE
    before = set(kubectl.out("get", "pods", "-o", "name").split())
    kubectl("rollout", "restart", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    for name in before:  # the last of them may still be ending
        kubectl("wait", "--for=delete", name, "--timeout=30s")
    assert len(kubectl.out("get", "pods", "-o", "name").split()) == 3


def test_a_rollout_that_cannot_succeed_leaves_the_old_pods_and_can_be_undone(kubectl: Program) -> None:
    _rolled_out(kubectl, deployment(replicas=1))
    before = kubectl.out("get", "pods", "-o", "name")
    kubectl("set", "image", "deployment/web", f"main={NO_IMAGE}")
    told = kubectl("rollout", "status", "deployment/web", "--timeout=2s", code=1)
    assert "1 old replicas are pending termination" in told.stdout and "timed out" in told.stderr
    failing = ("get", "pods", "-l", "app=web", "--no-headers")
    _until_some(kubectl, failing, lambda text: "ErrImagePull" in text or "ImagePullBackOff" in text)
    assert before in kubectl.out("get", "pods", "--field-selector=status.phase=Running", "-o", "name").splitlines()
    kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    _until(kubectl, ("get", "pods", "-o", "name"), before)


def test_changes_wait_while_a_rollout_is_paused(kubectl: Program) -> None:
    _rolled_out(kubectl, deployment(replicas=1))
    kubectl("rollout", "pause", "deployment/web")
    kubectl("set", "image", "deployment/web", f"main={OTHER_IMAGE}")
    kubectl("set", "env", "deployment/web", "A=1")
    seen = "jsonpath={.metadata.generation} {.status.observedGeneration} {.status.updatedReplicas}"
    _until(kubectl, ("get", "deployment", "web", "-o", seen), "4 4")
    assert len(kubectl.out("get", "replicasets", "-o", "name").splitlines()) == 1
    kubectl("rollout", "resume", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert len(kubectl.out("get", "replicasets", "-o", "name").splitlines()) == 2, "both changes are one revision"


def test_scale_of_what_has_changed_meanwhile_is_refused(kubectl: Program) -> None:
    _apply(kubectl, deployment(replicas=1))
    kubectl("scale", "deployment/web", "--replicas=0", "--current-replicas=7", code=1)


def test_edit_sends_what_the_editor_leaves(kubectl: Program) -> None:
    _apply(kubectl, deployment(replicas=1))
    editor = kubectl.home / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/replicas: 1/replicas: 0/' \"$1\"\n")
    editor.chmod(0o755)
    kubectl("edit", "deployment", "web", env={"KUBE_EDITOR": str(editor)})
    assert kubectl.out("get", "deployment", "web", "-o", "jsonpath={.spec.replicas}") == "0"


def test_label_and_annotate_do_not_raise_the_generation(kubectl: Program) -> None:
    _apply(kubectl, deployment(replicas=0))
    kubectl("label", "deployment", "web", "tier=front")
    assert "already has a value" in kubectl("label", "deployment", "web", "tier=back", code=1).stderr
    kubectl("label", "deployment", "web", "tier=back", "--overwrite")
    kubectl("annotate", "deployment", "web", "note=hello")
    kubectl("label", "deployment", "web", "tier-")
    found = _get(kubectl, "deployment", "web")
    meta = found["metadata"]
    assert meta["labels"] == {"app": "web"} and meta["annotations"]["note"] == "hello"
    assert meta["generation"] == 1


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        (
            "strategic",
            '{"spec":{"template":{"spec":{"containers":[{"name":"main","env":[{"name":"A","value":"1"}]}]}}}}',
        ),
        ("merge", '{"spec":{"template":{"metadata":{"annotations":{"a":"1"}}}}}'),
        ("json", '[{"op":"replace","path":"/spec/replicas","value":0}]'),
    ],
)
def test_patch_in_three_ways(kubectl: Program, kind: str, patch: str) -> None:
    _apply(kubectl, deployment(replicas=1))
    assert "patched" in kubectl.out("patch", "deployment", "web", f"--type={kind}", "-p", patch)
    found = _get(kubectl, "deployment", "web")
    spec = found["spec"]
    container = spec["template"]["spec"]["containers"][0]
    assert container["image"] == IMAGE
    match kind:
        case "strategic":
            assert container["env"] == [{"name": "A", "value": "1"}]
        case "merge":
            assert spec["template"]["metadata"]["annotations"] == {"a": "1"}
        case "json":
            assert spec["replicas"] == 0
    assert found["metadata"]["generation"] == 2


def test_patch_of_a_status_changes_only_the_status(kubectl: Program) -> None:
    _apply(kubectl, pod("p"))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    condition = '{"spec":{"nodeName":"x"},"status":{"conditions":[{"type":"example.com/Mine","status":"True"}]}}'
    kubectl("patch", "pod", "p", "--subresource=status", "--type=strategic", "-p", condition)
    found = _get(kubectl, "pod", "p")
    assert found["spec"]["nodeName"] != "x"
    assert "example.com/Mine" in {each["type"] for each in found["status"]["conditions"]}


def test_expose_and_run(kubectl: Program) -> None:
    _apply(kubectl, deployment(replicas=0))
    kubectl("expose", "deployment", "web", "--port=80", "--type=NodePort")
    assert int(kubectl.out("get", "service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}")) >= 30000
    kubectl("run", "one", f"--image={IMAGE}", "--", "sleep", "1")
    assert kubectl.out("get", "pod", "one", "-o", "jsonpath={.spec.containers[0].image}") == IMAGE


# -- deleting -----------------------------------------------------------------------------------------------


def test_delete_waits_until_the_pod_is_gone(kubectl: Program) -> None:
    _apply(kubectl, pod("p"))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    kubectl("delete", "pod", "p", "--wait", "--timeout=30s")
    kubectl("get", "pod", "p", code=1)


def test_delete_by_force_does_not_ask_the_node(kubectl: Program) -> None:
    _apply(kubectl, pod("p", "trap '' TERM; sleep 1000", terminationGracePeriodSeconds=600))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    kubectl("delete", "pod", "p", "--force", "--timeout=20s")
    kubectl("get", "pod", "p", code=1)


@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_delete_with_each_cascade(kubectl: Program, cascade: str) -> None:
    _rolled_out(kubectl, deployment(replicas=1))
    kubectl("delete", "deployment", "web", f"--cascade={cascade}", "--timeout=30s")
    kubectl("get", "deployment", "web", code=1)
    if cascade == "orphan":
        assert kubectl.out("get", "replicaset", "-o", "jsonpath={.items[*].metadata.ownerReferences}") == ""
        assert len(kubectl.out("get", "replicaset", "-o", "name").splitlines()) == 1
        kubectl("delete", "replicaset", "--all", "--timeout=30s")
    _until(kubectl, ("get", "replicaset,pods", "-o", "name"), "")


def test_delete_by_label_and_all(kubectl: Program) -> None:
    for name in ("a", "b", "c"):
        _apply(kubectl, config_map(name))
        kubectl("label", "cm", name, f"n={name}")
    assert "deleted" in kubectl.out("delete", "cm", "-l", "n in (a,b)")
    assert kubectl.out("get", "cm", "-o", "name") == "configmap/c"
    kubectl("delete", "cm", "--all")
    assert kubectl.out("get", "cm", "-o", "name") == ""


def test_a_finalizer_holds_an_object_until_it_is_taken_away(kubectl: Program) -> None:
    meta = {"name": "c", "finalizers": ["example.com/hold"]}
    _apply(kubectl, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    kubectl("delete", "cm", "c", "--wait=false")
    assert kubectl.out("get", "cm", "c", "-o", "jsonpath={.metadata.deletionTimestamp}") != ""
    kubectl("patch", "cm", "c", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    kubectl("get", "cm", "c", code=1)


def test_the_namespaces_of_the_system_stay(kubectl: Program) -> None:
    assert "Forbidden" in kubectl("delete", "namespace", "kube-system", code=1).stderr


def test_nothing_is_made_in_a_namespace_that_is_not_there(kubectl: Program) -> None:
    told = kubectl("create", "-n", "nowhere", "-f", "-", stdin=json.dumps(service()), code=1).stderr
    assert 'namespaces "nowhere" not found' in told


# -- logs, exec ---------------------------------------------------------------------------------------------


def test_logs_follow_tail_and_previous(kubectl: Program) -> None:
    _apply(kubectl, pod("p", f"echo one; echo two; {WAIT}; echo three; exit 3"))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    _until(kubectl, ("logs", "p"), "one\ntwo")
    assert kubectl.out("logs", "p", "--tail=1") == "two"
    assert kubectl.out("logs", "p", "--timestamps").splitlines()[0].split()[1] == "one"
    with kubectl.running("logs", "-f", "p") as follow:
        assert follow.stdout is not None
        assert [follow.stdout.readline() for _ in range(2)] == ["one\n", "two\n"]
        kubectl("exec", "p", "--", *LET_GO)
        assert follow.communicate(timeout=30)[0] == "three\n"
        assert follow.returncode == 0
    _until(kubectl, ("get", "pod", "p", "-o", "jsonpath={.status.containerStatuses[0].restartCount}"), "1")
    assert kubectl.out("logs", "--previous", "p") == "one\ntwo\nthree"
    assert "container other is not valid for pod p" in kubectl("logs", "p", "-c", "other", code=1).stderr


def test_logs_since_a_moment(kubectl: Program) -> None:
    _apply(kubectl, pod("p", "echo one; sleep 1.1; echo two; sleep 1000"))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    _until(kubectl, ("logs", "p"), "one\ntwo")
    moment = kubectl.out("logs", "p", "--timestamps", "--tail=1").split()[0]
    assert kubectl.out("logs", "p", f"--since-time={moment.partition('.')[0]}Z") == "two"
    assert kubectl.out("logs", "p", "--since=1h") == "one\ntwo"
    _until(kubectl, ("logs", "p", "--since=1s"), "")


def test_logs_of_a_deployment_and_of_all_pods_with_a_label(kubectl: Program) -> None:
    _rolled_out(kubectl, deployment(script="echo started on $(hostname); sleep 1000"))
    names = {name.removeprefix("pod/") for name in kubectl.out("get", "pods", "-o", "name").split()}
    assert kubectl.out("logs", "deployment/web").removeprefix("started on ") in names
    told = kubectl.out("logs", "-l", "app=web", "--prefix").splitlines()
    assert sorted(told) == sorted(f"[pod/{name}/main] started on {name}" for name in names)


def test_logs_of_a_container_that_has_not_started(kubectl: Program) -> None:
    _apply(kubectl, pod("p", image=NO_IMAGE))
    _until(kubectl, ("get", "pod", "p", "-o", "jsonpath={.status.phase}"), "Pending")
    assert "BadRequest" in kubectl("logs", "p", code=1).stderr


def test_exec_passes_output_input_and_exit_code(kubectl: Program) -> None:
    _apply(kubectl, pod("p"))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    done = kubectl("exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 3", code=3)
    assert done.stdout == "out\n" and done.stderr.startswith("err\n")
    assert kubectl("exec", "p", "--", "sh", "-c", "true").stdout == ""
    assert kubectl("exec", "-i", "p", "--", "cat", stdin="some text\n" * 10_000).stdout == "some text\n" * 10_000


def test_exec_with_a_terminal(kubectl: Program) -> None:
    _apply(kubectl, pod("p"))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    with kubectl.at_terminal("exec", "-it", "p", "--", "sh", "-c", AT_TERMINAL) as terminal:
        terminal.shows("24 80")
        terminal.type("word\r")
        terminal.shows("<word>")
        terminal.resize(50, 132)
        terminal.shows("50 132")
        terminal.type("\x03")  # a key for the program there, no signal for the one here
        terminal.shows("interrupted")
        assert terminal.ends() == 7


def test_exec_in_a_pod_that_has_no_node(kubectl: Program) -> None:
    _apply(kubectl, pod("p", nodeSelector={"none": "such"}))
    told = kubectl("exec", "p", "--", "true", code=1).stderr
    assert "pod p does not have a host assigned" in told


# -- nodes, waiting, events ---------------------------------------------------------------------------------


def test_cordon_drain_and_uncordon(kubectl: Program) -> None:
    _rolled_out(kubectl, deployment(replicas=4))
    node = kubectl.out("get", "pods", "-o", "jsonpath={.items[0].spec.nodeName}")
    try:
        kubectl("cordon", node)
        assert "SchedulingDisabled" in kubectl.out("get", "node", node)
        kubectl("drain", node, "--ignore-daemonsets", "--force", "--pod-selector=app=web", "--timeout=60s")
        kubectl("rollout", "status", "deployment/web", "--timeout=30s")
        live = kubectl.out("get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}").split()
        assert len(live) == 4 and node not in live
    finally:
        kubectl("uncordon", node)
    assert "SchedulingDisabled" not in kubectl.out("get", "node", node)


def test_drain_waits_until_the_pods_are_gone(kubectl: Program) -> None:
    slowly = "trap 'sleep 1; exit 0' TERM; while true; do sleep 0.1; done"
    _apply(kubectl, pod("p", slowly, terminationGracePeriodSeconds=20))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    node = kubectl.out("get", "pod", "p", "-o", "jsonpath={.spec.nodeName}")
    try:
        told = kubectl("drain", node, "--pod-selector=app=p", "--timeout=60s", code=1).stderr
        assert "cannot delete" in told and "declare no controller (use --force to override)" in told
        assert "pod/p evicted" in kubectl.out("drain", node, "--force", "--pod-selector=app=p", "--timeout=60s")
        kubectl("get", "pod", "p", code=1)
    finally:
        kubectl("uncordon", node)


def test_taint_and_untaint(kubectl: Program) -> None:
    node = kubectl.out("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    kubectl("taint", "node", node, "example.com/k=v:PreferNoSchedule")
    kubectl("taint", "node", node, "example.com/k-")


def test_wait_for_a_condition_a_value_and_an_end(kubectl: Program) -> None:
    _apply(kubectl, deployment(replicas=1))
    kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=30s")
    kubectl("wait", "--for=jsonpath={.status.readyReplicas}=1", "deployment/web", "--timeout=30s")
    kubectl("delete", "deployment", "web", "--wait=false")
    kubectl("wait", "--for=delete", "deployment/web", "--timeout=30s")
    told = kubectl("wait", "--for=condition=Ready", "pod/none", "--timeout=1s", code=1).stderr
    assert "not found" in told


def test_events_tell_what_happened(kubectl: Program) -> None:
    _rolled_out(kubectl, deployment(replicas=1))
    assert "Scaled up replica set" in kubectl.out("events")
    assert "SuccessfulCreate" in kubectl.out("get", "events", "--field-selector", "involvedObject.kind=ReplicaSet")


# -- auth, discovery ----------------------------------------------------------------------------------------


def test_auth_whoami_and_can_i(kubectl: Program, viewer_kubeconfig: Path) -> None:
    assert "kubernetes-admin" in kubectl.out("auth", "whoami")
    assert kubectl.out("auth", "can-i", "delete", "pods") == "yes"
    assert "*.*" in kubectl.out("auth", "can-i", "--list")
    viewer = replace(kubectl, kubeconfig=kubeconfig_of(viewer_kubeconfig, kubectl.namespace, kubectl.home / "viewer"))
    assert "orchestr8:viewers" in viewer.out("auth", "whoami")
    assert viewer("auth", "can-i", "delete", "pods", code=1).stdout.startswith("no - pods is forbidden")
    assert viewer.out("auth", "can-i", "list", "pods") == "yes"
    viewer("get", "pods,deployments,services")
    assert "Forbidden" in viewer("get", "secrets", code=1).stderr
    assert "Forbidden" in viewer("create", "-f", "-", stdin=json.dumps(service()), code=1).stderr


def test_a_wrong_token_is_told_so(kubectl: Program) -> None:
    server = kubectl.out("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
    stranger = replace(kubectl, kubeconfig=kubectl.home / "stranger")
    stranger("config", "set-cluster", "c", f"--server={server}", "--insecure-skip-tls-verify")
    stranger("config", "set-credentials", "u", "--token=wrong")
    stranger("config", "set-context", "x", "--cluster=c", "--user=u")
    stranger("config", "use-context", "x")
    assert "You must be logged in" in stranger("get", "pods", code=1).stderr


def test_api_resources_and_versions(kubectl: Program) -> None:
    listed = kubectl.out("api-resources", "--no-headers", "-o", "name").split()
    wanted = (
        "pods deployments.apps replicasets.apps services endpointslices.discovery.k8s.io leases.coordination.k8s.io"
    )
    assert set(wanted.split()) <= set(listed)
    assert {"v1", "apps/v1", "policy/v1"} <= set(kubectl.out("api-versions").split())
    assert "Server Version: v1." in kubectl.out("version")


def test_explain_every_kind_and_down_to_a_field(kubectl: Program) -> None:
    kinds = "namespace node pod replicaset deployment service endpoints endpointslice configmap secret event lease"
    for kind in [*kinds.split(), "serviceaccount"]:
        told = kubectl.out("explain", kind)
        assert "DESCRIPTION:" in told and "metadata" in told, kind
    assert "containerPort" in kubectl.out("explain", "deployment.spec.template.spec.containers.ports")
