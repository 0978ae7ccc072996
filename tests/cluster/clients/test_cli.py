"""Our own command line, verb by verb, beside kubectl where both must agree."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from orchestr8.pki import ca
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
LAST_APPLIED = r"jsonpath={.metadata.annotations.kubectl\.kubernetes\.io/last-applied-configuration}"


def _text(*objects: Object) -> str:
    return "\n---\n".join(json.dumps(obj) for obj in objects)


def _apply(program: Program, *objects: Object, words: tuple[str, ...] = ()) -> str:
    return program("apply", *words, "-f", "-", stdin=_text(*objects)).stdout


def _until(program: Program, words: tuple[str, ...], holds: Callable[[str], bool]) -> str:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds(seen := program.out(*words)):
        assert time.monotonic() < deadline, f"{program.name} {' '.join(words)} still says {seen!r}"
    return seen


def _runs(kubectl: Program, obj: Object) -> None:
    _apply(kubectl, obj)
    kubectl("wait", "--for=condition=Ready", f"pod/{obj['metadata']['name']}", "--timeout=30s")


def _names(program: Program, kind: str) -> list[str]:
    return program.out("get", kind, "-o", "name").split()


# -- apply ----------------------------------------------------------------------------------------------------


def test_apply_creates_then_leaves_alone_then_changes(cli: Program) -> None:
    assert _apply(cli, deployment(replicas=0), service()).split("\n")[:2] == [
        "deployment.apps/web created",
        "service/web created",
    ]
    assert "deployment.apps/web unchanged" in _apply(cli, deployment(replicas=0), service())
    told = _apply(cli, deployment(replicas=1), service())
    assert "deployment.apps/web configured" in told and "service/web unchanged" in told


def test_apply_and_kubectl_apply_leave_the_same_object_and_take_over_from_each_other(
    cli: Program, kubectl: Program
) -> None:
    _apply(cli, deployment("ours", replicas=0))
    _apply(kubectl, deployment("theirs", replicas=0))
    ours, theirs = (kubectl.out("get", "deployment", name, "-o", LAST_APPLIED) for name in ("ours", "theirs"))
    assert ours.replace("ours", "theirs") == theirs
    assert "unchanged" in _apply(kubectl, deployment("ours", replicas=0))
    assert "unchanged" in _apply(cli, deployment("theirs", replicas=0))
    assert kubectl("diff", "-f", "-", stdin=_text(deployment("ours", replicas=0))).stdout == ""


def test_what_one_apply_named_and_the_other_does_not_is_taken_away(cli: Program, kubectl: Program) -> None:
    _apply(cli, config_map("c", a="1", b="2"))
    kubectl("patch", "cm", "c", "--type=merge", "-p", '{"data":{"other":"3"}}')
    _apply(kubectl, config_map("c", a="1"))
    assert kubectl.out("get", "cm", "c", "-o", "jsonpath={.data}") == '{"a":"1","other":"3"}'
    _apply(cli, config_map("c", b="4"))
    assert kubectl.out("get", "cm", "c", "-o", "jsonpath={.data}") == '{"b":"4","other":"3"}'


def test_items_of_a_list_are_merged_by_their_name_as_kubectl_does(cli: Program, kubectl: Program) -> None:
    wanted = deployment(replicas=0)
    main = wanted["spec"]["template"]["spec"]["containers"][0]
    main["env"] = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    _apply(cli, wanted)
    kubectl("set", "env", "deployment/web", "C=3")
    main["env"] = [{"name": "B", "value": "5"}]
    _apply(cli, wanted)
    env = "jsonpath={range .spec.template.spec.containers[0].env[*]}{.name}={.value} {end}"
    assert sorted(kubectl.out("get", "deployment", "web", "-o", env).split()) == ["B=5", "C=3"]


def test_a_dry_run_lets_the_server_check_and_changes_nothing(cli: Program) -> None:
    assert _apply(cli, deployment(), words=("--dry-run",)) == "deployment.apps/web created (dry run)\n"
    cli("get", "deploy/web", code=3)
    wrong = deployment()
    wrong["spec"]["replicas"] = -1
    assert "spec.replicas" in cli("apply", "--dry-run", "-f", "-", stdin=_text(wrong), code=9).stderr


def test_apply_can_wait_until_all_runs(cli: Program) -> None:
    told = _apply(cli, deployment(replicas=2), words=("--wait", "--timeout=40s"))
    assert told.splitlines()[-1] == "deployment web rolled out: 2 of 2 available"
    never = cli("apply", "--wait", "--timeout=1s", "-f", "-", stdin=_text(deployment("never", image=NO_IMAGE)), code=7)
    assert "error: deployment never: 0 of 2 new replicas available" in never.stderr
    assert f"next:  see why: orchestr8 describe deployment.apps/never -n {cli.namespace}" in never.stderr


def test_an_unknown_field_is_refused_with_file_and_path_and_the_other_objects_are_applied(
    cli: Program, tmp_path: Path
) -> None:
    wrong = deployment()
    wrong["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    file = tmp_path / "both.yaml"
    file.write_text(_text(wrong, service()))
    told = cli("apply", "-f", str(file), code=9)
    assert 'unknown field "spec.template.spec.containers[0].imagee"' in told.stderr
    assert "both.yaml" in told.stderr
    assert told.stdout == "service/web created\n"


def test_an_ill_typed_field_is_refused_with_its_path(cli: Program) -> None:
    wrong = deployment()
    wrong["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": "http"}]
    told = cli("apply", "-f", "-", stdin=_text(wrong), code=9).stderr
    assert "spec.template.spec.containers[0].ports[0].containerPort" in told


def test_every_complaint_about_an_object_is_shown(cli: Program) -> None:
    wrong = deployment()
    wrong["spec"]["replicas"] = -1
    wrong["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    wrong["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 70_000}]
    told = cli("apply", "-f", "-", stdin=_text(wrong), code=9).stderr
    for field in (
        "spec.replicas",
        "spec.template.metadata.labels",
        "spec.template.spec.containers[0].ports[0].containerPort",
    ):
        assert field in told


def test_a_field_without_effect_is_named_in_a_warning(cli: Program) -> None:
    told = cli("apply", "-f", "-", stdin=_text(pod("p", schedulerName="other")))
    assert told.stdout == "pod/p created\n"
    assert re.search(r"^warning: spec\.schedulerName", told.stderr, re.MULTILINE), told.stderr


def test_a_file_that_is_no_manifest_is_told_with_its_line(cli: Program, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("kind: Pod\nmetadata:\n  name: [\n")
    assert re.search(r"broken\.yaml:\d+", cli("apply", "-f", str(file), code=9).stderr)
    file.write_text("apiVersion: example.com/v1\nkind: Nonsense\nmetadata: {name: a}\n")
    assert "this cluster serves no Nonsense of example.com/v1" in cli("apply", "-f", str(file), code=9).stderr


# -- get, describe --------------------------------------------------------------------------------------------


def test_get_in_every_form(cli: Program, kubectl: Program) -> None:
    _apply(cli, deployment(), service(), words=("--wait",))
    for kind in ("pods", "deployments", "services", "nodes", "replicasets"):
        for words in ([kind], [kind, "-o", "wide"]):
            ours, theirs = (_columns(program.out("get", *words)) for program in (cli, kubectl))
            assert ours == theirs, words
    assert _names(cli, "pods") == _names(kubectl, "pods")
    for form in ("json", "yaml"):
        seen = cli.out("get", "deploy/web", "-o", form)
        assert ('"kind": "Deployment"' if form == "json" else "kind: Deployment") in seen
    assert len(json.loads(cli.out("get", "pods", "-o", "json"))["items"]) == 2
    assert len(cli.out("get", "pods", "-l", "app=web", "--no-headers").splitlines()) == 2
    assert cli("get", "pods", "-l", "app!=web").stderr == f"Nothing found in namespace {cli.namespace}.\n"
    node = kubectl.out("get", "pods", "-o", "jsonpath={.items[0].spec.nodeName}")
    there = ("get", "pods", "--field-selector", f"spec.nodeName={node}", "-o", "name")
    assert cli.out(*there) == kubectl.out(*there) != ""
    several = cli.out("get", "deploy,svc")
    assert "deployment.apps/web" in several and "service/web" in several
    assert cli.namespace in cli.out("get", "pods", "-A")


def _columns(table: str) -> list[list[str]]:
    """The header and the first three cells of each row: what stays the same from one second to the next."""
    header, *rows = table.splitlines()
    return [re.split(r"\s{2,}", header.strip()), *[row.split()[:3] for row in rows]]


def test_get_watch_shows_changes_as_they_come(cli: Program) -> None:
    _apply(cli, deployment(replicas=0))
    with cli.running("get", "deploy/web", "-w") as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline().split()[:2] == ["NAME", "READY"]
        assert watch.stdout.readline().split()[:2] == ["web", "0/0"]
        cli("scale", "deploy/web", "--replicas=1")
        while watch.stdout.readline().split()[1] != "1/1":
            pass
        watch.send_signal(signal.SIGINT)
        assert watch.wait(timeout=10) == 130


def test_describe_tells_what_an_object_is_and_what_happened_to_it(cli: Program, kubectl: Program) -> None:
    _apply(cli, deployment(), service(), words=("--wait",))
    assert "ScalingReplicaSet" in _until(cli, ("describe", "deploy/web"), lambda text: "Scaled up" in text)
    assert "State:      deployment web rolled out: 2 of 2 available" in cli.out("describe", "deploy", "web")
    name = _names(cli, "pods")[0]
    described = _until(cli, ("describe", name), lambda text: "Started container main" in text)
    node = kubectl.out("get", name, "-o", "jsonpath={.spec.nodeName}")
    assert f"State:      Running, on {node}" in described and IMAGE in described
    assert "ClusterIP 10." in cli.out("describe", "svc/web") and "ports 80/TCP" in cli.out("describe", "svc/web")
    described = cli.out("describe", "node", node)
    assert "State:      Ready" in described and f"{cli.namespace}/{name.removeprefix('pod/')}" in described
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"key": "hidden"}}
    _apply(cli, secret)
    assert "key: (not shown)" in cli.out("describe", "secret/s") and "aGlkZGVu" not in cli.out("describe", "secret/s")


# -- delete, scale, rollout -----------------------------------------------------------------------------------


def test_delete_waits_until_the_pod_is_gone(cli: Program, kubectl: Program) -> None:
    slowly = pod("p", "trap 'sleep 1; exit 0' TERM; while true; do sleep 0.1; done", terminationGracePeriodSeconds=20)
    _runs(kubectl, slowly)
    assert cli.out("delete", "pod", "p") == "pod/p deleted"
    cli("get", "pod/p", code=3)
    _runs(kubectl, slowly)
    cli("delete", "pod/p", "--no-wait")
    assert "Terminating" in cli.out("get", "pod", "p")


@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_delete_with_each_cascade(cli: Program, cascade: str) -> None:
    _apply(cli, deployment(replicas=1), words=("--wait",))
    cli("delete", "deploy/web", "--cascade", cascade)
    if cascade == "orphan":
        (kept,) = _names(cli, "replicasets")
        assert json.loads(cli.out("get", kept, "-o", "json"))["metadata"].get("ownerReferences", []) == []
        cli("delete", "rs", "--all")
    _until(cli, ("get", "rs,pods", "-o", "name"), lambda text: text == "")


def test_delete_of_what_a_file_names_by_label_and_with_a_finalizer(cli: Program, tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(_text(deployment(replicas=0), service()))
    cli("apply", "-f", str(file))
    assert cli.out("delete", "-f", str(file)).split() == [
        "service/web",
        "deleted",
        "deployment.apps/web",
        "deleted",
    ]
    held = config_map("c")
    held["metadata"] |= {"labels": {"a": "b"}, "finalizers": ["example.com/hold"]}
    _apply(cli, held)
    told = cli("delete", "cm", "-l", "a=b", "--timeout=1s", code=7).stderr
    assert "configmap/c is still there" in told and "next:" in told
    del held["metadata"]["finalizers"]
    _apply(cli, held)
    _until(cli, ("get", "cm", "-o", "name"), lambda text: text == "")
    cli("delete", "cm", "c", code=3)
    cli("delete", "cm", "c", "--ignore-not-found")


def test_scale_waits_and_minds_what_is_there_now(cli: Program) -> None:
    _apply(cli, deployment(replicas=1))
    told = cli.out("scale", "deploy/web", "--replicas=3", "--current=1", "--wait")
    assert told.splitlines() == ["deployment.apps/web scaled to 3", "deployment web rolled out: 3 of 3 available"]
    assert "has 3 replicas, not 1" in cli("scale", "deploy/web", "--replicas=5", "--current=1", code=4).stderr


def test_rollout_through_several_revisions(cli: Program) -> None:
    _apply(cli, deployment(), words=("--wait",))
    _apply(cli, deployment(image=OTHER_IMAGE), words=("--wait",))
    history = [line.split()[:2] for line in cli.out("rollout", "history", "deploy/web").splitlines()]
    assert history == [["REVISION", "IMAGES"], ["1", IMAGE], ["2", OTHER_IMAGE]]
    assert OTHER_IMAGE in cli.out("rollout", "history", "deploy/web", "--revision=2")
    assert cli.out("rollout", "undo", "deploy/web") == "deployment.apps/web rolled back to revision 1"
    assert "rolled out: 2 of 2 available" in cli.out("rollout", "status", "deploy/web")
    image = json.loads(cli.out("get", "deploy/web", "-o", "json"))["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == IMAGE
    before = set(_names(cli, "pods"))
    cli("rollout", "restart", "deploy/web")
    cli("rollout", "status", "deploy/web")
    _until(cli, ("get", "pods", "-o", "name"), lambda text: not before & set(text.split()))
    cli("rollout", "pause", "deploy/web")
    assert "is paused" in cli("rollout", "undo", "deploy/web", code=1).stderr
    cli("rollout", "resume", "deploy/web")
    assert "there are: 2, 3, 4" in cli("rollout", "undo", "deploy/web", "--to-revision=9", code=3).stderr


# -- logs, exec -----------------------------------------------------------------------------------------------


def test_logs_follow_tail_and_previous(cli: Program, kubectl: Program) -> None:
    _runs(kubectl, pod("p", f"echo one; echo two; {WAIT}; echo three; exit 3"))
    _until(cli, ("logs", "p"), "one\ntwo".__eq__)
    assert cli.out("logs", "p", "--tail=1") == "two"
    assert cli.out("logs", "p", "--since=1h", "--limit-bytes=3") == "one"
    moment, word = cli.out("logs", "p", "--timestamps", "--tail=1").split()
    assert word == "two" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)", moment)
    with cli.running("logs", "-f", "p") as follow:
        assert follow.stdout is not None
        assert [follow.stdout.readline() for _ in range(2)] == ["one\n", "two\n"]
        kubectl("exec", "p", "--", *LET_GO)
        assert follow.communicate(timeout=30)[0] == "three\n"
        assert follow.returncode == 0
    _until(cli, ("get", "pod/p", "--no-headers"), lambda line: line.split()[3] == "1")
    assert cli.out("logs", "-p", "p") == "one\ntwo\nthree"
    assert "other" in cli("logs", "p", "-c", "other", code=1).stderr


def test_logs_of_several_pods_are_told_apart(cli: Program) -> None:
    _apply(cli, deployment(script="echo started on $(hostname); sleep 1000"), words=("--wait",))
    names = [name.removeprefix("pod/") for name in _names(cli, "pods")]
    wanted = sorted(f"[{name}/main] started on {name}" for name in names)
    for words in (("deploy/web",), ("-l", "app=web")):
        assert sorted(cli.out("logs", *words).splitlines()) == wanted
    with cli.running("logs", "-f", "deploy/web") as follow:
        assert follow.stdout is not None
        assert sorted(follow.stdout.readline().rstrip() for _ in names) == wanted
        follow.send_signal(signal.SIGINT)
        assert follow.wait(timeout=10) == 130


def test_exec_passes_output_input_and_exit_code(cli: Program, kubectl: Program) -> None:
    _runs(kubectl, pod("p"))
    done = cli("exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 3", code=3)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert cli("exec", "p", "--", "true").stdout == ""
    assert cli("exec", "-i", "p", "--", "cat", stdin="some text\n" * 10_000).stdout == "some text\n" * 10_000
    assert "no-such-program" in cli("exec", "p", "--", "no-such-program", code=127).stderr
    cli("exec", "none", "--", "true", code=3)


def test_exec_with_a_terminal(cli: Program, kubectl: Program) -> None:
    _runs(kubectl, pod("p"))
    with cli.at_terminal("exec", "-it", "p", "--", "sh", "-c", AT_TERMINAL) as terminal:
        terminal.shows("24 80")
        terminal.type("word\r")
        terminal.shows("<word>")
        assert not terminal.echoes
        terminal.resize(50, 132)
        terminal.shows("50 132")
        terminal.type("\x03")
        terminal.shows("interrupted")
        assert terminal.ends() == 7
        assert terminal.echoes, "the terminal is as it was"


def test_exec_in_a_pod_that_has_no_node(cli: Program, kubectl: Program) -> None:
    _apply(kubectl, pod("p", nodeSelector={"none": "such"}))
    assert "pod p does not have a host assigned" in cli("exec", "p", "--", "true", code=1).stderr


# -- why, status, version -------------------------------------------------------------------------------------


def test_why_shows_every_node_with_all_that_speaks_against_it(cli: Program, kubectl: Program) -> None:
    wanted = pod("p", nodeSelector={"disk": "ssd"})
    wanted["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1000"}}
    _apply(cli, wanted)
    told = _until(cli, ("why", "p"), lambda text: "0 of 2 nodes fit" in text)
    headline, columns, *nodes = told.splitlines()
    assert headline.startswith("Pending") and "cpu" in columns
    for node in ("w1", "w2"):
        (row,) = (line for line in nodes if line.startswith(node))
        assert row.count("✗") == 2, row
    assert "Would fit if:" in told
    assert json.loads(cli.out("why", "pod/p", "-o", "json"))["explanation"]["state"] == "Pending"
    _until(cli, ("get", "pod/p"), lambda text: "Pending" in text)
    assert "0/2 nodes are available" in _until(kubectl, ("describe", "pod", "p"), lambda text: "FailedSch" in text)


def test_why_says_where_a_pod_is(cli: Program, kubectl: Program) -> None:
    _runs(kubectl, pod("p"))
    node = kubectl.out("get", "pod", "p", "-o", "jsonpath={.spec.nodeName}")
    told = cli.out("why", "p")
    assert told.startswith("Bound") and f"on node {node}; 2 of 2 nodes would fit now" in told
    assert '"none" not found' in cli("why", "none", code=3).stderr


def test_status_and_version_of_a_healthy_cluster(cli: Program) -> None:
    told = cli.out("status")
    assert re.match(r"Cluster healthy: m[123] leads in term \d+, revision \d+", told)
    assert all(re.search(rf"^{name} +10\.77\.0\.", told, re.MULTILINE) for name in ("m1", "m2", "m3"))
    assert len(re.findall(r"^w[12] +Ready", told, re.MULTILINE)) == 2
    assert re.search(r"^client: \d.*\nserver: v1\.", cli.out("version"))


# -- tokens, kubeconfigs --------------------------------------------------------------------------------------


def test_tokens_are_made_listed_and_removed(cli: Program) -> None:
    line = cli.out("token", "create", "--uses=2", "--ttl=5m")
    found = re.fullmatch(r"orchestr8 join 10\.77\.0\.\d+:7443 (o8\.(\w+)\.\S+)", line)
    assert found is not None, line
    assert any(row.split()[:3] == [found[2], "worker", "2"] for row in cli.out("token", "list").splitlines())
    cli("token", "delete", found[1])
    assert found[2] not in cli.out("token", "list")
    cli("token", "delete", found[1], code=3)


def test_a_viewer_sees_and_changes_nothing(cli: Program, kubectl: Program, viewer_kubeconfig: Path) -> None:
    viewer = replace(cli, kubeconfig=kubeconfig_of(viewer_kubeconfig, cli.namespace, cli.home / "viewer.kubeconfig"))
    _apply(cli, config_map("c"))
    assert _names(viewer, "cm") == ["configmap/c"]
    viewer("status")
    for words in (
        ("delete", "cm", "c"),
        ("get", "secrets"),
        ("token", "create"),
        ("scale", "deploy/x", "--replicas=1"),
    ):
        told = viewer(*words, code=5).stderr
        assert "forbidden" in told.lower() and "next:" in told
    told = viewer("apply", "-f", "-", stdin=_text(config_map("c", a="1")), code=5).stderr
    assert "forbidden" in told.lower()
    assert kubectl.out("get", "cm", "c", "-o", "jsonpath={.data}") == ""


# -- what goes wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("get", "pod/none"), 3, 'pods "none" not found'),
        (("get", "podz"), 1, "did you mean pod?"),
        (("get", "pods", "--field-selector=spec.nonsense=1"), 1, "spec.nonsense"),
        (("get", "pods", "-l", "a in b"), 1, "a in b"),
        (("get", "pods", "--nonsense"), 2, "--nonsense"),
        (("gett", "pods"), 2, "did you mean 'get'?"),
        (("scale", "deploy/none", "--replicas=1"), 3, "not found"),
        (("rollout", "status", "deploy/none"), 3, "not found"),
        (("rollout", "status", "pod/p"), 1, "a rollout belongs to a Deployment"),
        (("logs", "none"), 3, "not found"),
        (("describe", "node", "none"), 3, "not found"),
        (("apply", "-f", "/nowhere.yaml"), 9, "/nowhere.yaml"),
        (("delete", "pods"), 1, "--all"),
        (("scale", "deploy/x", "--replicas=1", "--wait", "--timeout=soon"), 2, "soon"),
    ],
)
def test_an_error_says_what_it_is_about_and_has_its_code(
    cli: Program, words: tuple[str, ...], code: int, says: str
) -> None:
    done = cli(*words, code=code)
    assert says in done.stderr and done.stdout == ""


def test_an_apply_into_a_namespace_that_is_not_there(cli: Program) -> None:
    told = cli("apply", "-n", "nowhere", "-f", "-", stdin=_text(config_map("c")), code=3).stderr
    assert 'namespaces "nowhere" not found' in told


def test_nobody_at_the_address_of_the_kubeconfig(cli: Program) -> None:
    text = cli.kubeconfig.read_text()
    dead = replace(cli, kubeconfig=cli.home / "dead.kubeconfig")
    dead.kubeconfig.write_text(text.replace(":6443", ":6399"))
    told = dead("get", "pods", code=6).stderr
    assert all(f"https://10.77.0.{last}:6399: Connection refused" in told for last in (11, 12, 13))
    assert "next:" in told


def test_a_stranger_is_told_how_to_get_in(cli: Program) -> None:
    stranger = replace(cli, kubeconfig=cli.home / "stranger.kubeconfig")
    document = yaml.safe_load(cli.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": "wrong"}
    stranger.kubeconfig.write_text(yaml.safe_dump(document))
    assert "next:  fetch a fresh kubeconfig" in stranger("get", "pods", code=5).stderr


def test_a_cluster_with_another_ca_gets_no_request(cli: Program) -> None:
    other = replace(cli, kubeconfig=cli.home / "other.kubeconfig")
    document = yaml.safe_load(cli.kubeconfig.read_text())
    ca_pem = ca.create(dt.datetime.now(dt.UTC)).certificate_pem
    document["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode(ca_pem).decode()
    other.kubeconfig.write_text(yaml.safe_dump(document))
    assert "is not the cluster of this kubeconfig" in other("get", "pods", code=5).stderr


def test_the_first_help_teaches(cli: Program) -> None:
    told = cli.out("--help")
    assert "orchestr8 apply -f docs/examples/web.yaml" in told and "Say why a pod is where it is" in told
    assert cli.out("get", "--help").count("orchestr8 get") >= 5


def test_colour_and_progress_are_for_terminals(cli: Program, kubectl: Program) -> None:
    _runs(kubectl, pod("p"))
    assert "\x1b[" not in cli.out("get", "pods")
    with cli.at_terminal("get", "pods") as terminal:
        assert terminal.ends() == 0
        assert "\x1b[32mRunning" in terminal.shown
    with cli.at_terminal("rollout", "status", "deploy/none") as terminal:
        assert terminal.ends() == 3
        assert "\x1b[31m\x1b[1merror: " in terminal.shown
