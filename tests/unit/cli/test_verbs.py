import base64
import json

import pytest
import yaml
from click.testing import CliRunner

from orchestr8.cli.main import VERBS, main
from orchestr8.client.threeway import LAST_APPLIED
from orchestr8.pki import tokens
from tests.unit.cli.conftest import write_kubeconfig
from tests.unit.cli.standin import status

PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "web:1"}
"""


def pod(name, **more):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, **more}


@pytest.fixture
def two_pods(api):
    api.put(f"{PODS}/web-1", pod("web-1", status={"phase": "Running"}))
    api.put(f"{PODS}/web-2", pod("web-2", status={"phase": "Pending"}))


# -- help ---------------------------------------------------------------------------------------------------


def test_the_verbs_are_those_of_the_manual():
    assert set(VERBS) == {
        "up",
        "master",
        "worker",
        "token",
        "join",
        "kubeconfig",
        "apply",
        "get",
        "describe",
        "delete",
        "scale",
        "rollout",
        "logs",
        "exec",
        "why",
        "status",
        "version",
        "install",
        "uninstall",
    }


@pytest.mark.parametrize("verb", VERBS)
def test_help_teaches_with_examples(verb):
    result = CliRunner().invoke(main, [verb, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output


def test_a_verb_that_is_not_there_gets_the_nearest():
    result = CliRunner().invoke(main, ["aply"])
    assert result.exit_code == 2
    assert "did you mean 'apply'?" in result.output


# -- get ----------------------------------------------------------------------------------------------------


def test_get_shows_the_servers_columns(cli, two_pods):
    assert cli.ok("get pods").splitlines() == ["NAME    STATUS", "web-1   Running", "web-2   Pending"]


def test_wide_adds_the_columns_that_the_server_marks(cli, two_pods):
    assert cli.ok("get po -o wide").splitlines()[1].split() == ["web-1", "Running", "w1"]


def test_names_are_for_scripts(cli, two_pods):
    assert cli.ok("get pods -o name") == "pod/web-1\npod/web-2\n"


def test_one_object_as_json_and_yaml(cli, two_pods):
    assert json.loads(cli.ok("get pod web-1 -o json"))["metadata"]["name"] == "web-1"
    assert yaml.safe_load(cli.ok("get pod/web-1 -o yaml"))["status"] == {"phase": "Running"}


def test_several_objects_are_a_list(cli, two_pods):
    document = json.loads(cli.ok("get pods -o json"))
    assert (document["kind"], [each["metadata"]["name"] for each in document["items"]]) == ("List", ["web-1", "web-2"])


def test_named_objects_share_one_table(cli, two_pods):
    assert len(cli.ok("get pods web-1 web-2").splitlines()) == 3


def test_several_kinds_are_told_apart(cli, api, two_pods):
    api.put(f"{DEPLOYMENTS}/web", {"kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}})
    out = cli.ok("get pods,deploy")
    assert "pod/web-1" in out
    assert "deployment.apps/web" in out


def test_an_empty_list_is_no_error_and_no_output(cli):
    result = cli("get pods")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing found in namespace default" in result.stderr


def test_a_watch_goes_on_from_the_lists_revision(cli, api, two_pods, monkeypatch):
    event = {"type": "MODIFIED", "object": api.table([api.objects[f"{PODS}/web-2"]])}
    answers = [json.dumps(event).encode() + b"\n", b'{"type":"ERROR","object":{"code":403,"message":"enough"}}\n']
    plain = api.answer

    def answer(method, target, *rest):
        if "watch=true" in target:
            api.requests.append((method, target, None))
            return 200, answers.pop(0)
        return plain(method, target, *rest)

    monkeypatch.setattr(api, "answer", answer)
    result = cli("get pods -w")
    assert result.exit_code == 5
    assert result.stdout.splitlines() == ["NAME    STATUS", "web-1   Running", "web-2   Pending", "web-2   Pending"]
    watches = [target for _, target, _ in api.requests if "watch=true" in target]
    assert all("resourceVersion=102" in target for target in watches)
    assert len(watches) == 2


# -- errors and exit codes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"),
    [
        (404, "NotFound", 3),
        (409, "Conflict", 4),
        (403, "Forbidden", 5),
        (401, "Unauthorized", 5),
        (503, "ServiceUnavailable", 6),
        (504, "Timeout", 8),
        (422, "Invalid", 9),
        (500, "InternalError", 1),
    ],
)
def test_each_refusal_has_its_exit_code(cli, api, code, reason, exit_code):
    api.canned[("GET", f"{PODS}/web")] = (code, status(code, reason, "because"))
    result = cli("get pod web")
    assert result.exit_code == exit_code
    assert "because" in result.stderr
    assert result.stdout == ""


def test_an_error_says_what_to_do_next(cli):
    assert "next:  see which there are: orchestr8 get pods -A" in cli("get pod nope").stderr


def test_an_unknown_kind_gets_the_nearest(cli):
    result = cli("get deploymets")
    assert result.exit_code == 1
    assert "did you mean deployments" in result.stderr


def test_every_master_that_does_not_answer_is_named(cli, tmp_path):
    write_kubeconfig(cli.kubeconfig, ["https://127.0.0.1:1", "https://127.0.0.1:2"])
    result = cli("get pods")
    assert result.exit_code == 6
    assert "https://127.0.0.1:1" in result.stderr
    assert "https://127.0.0.1:2" in result.stderr
    assert "see which masters are up with `orchestr8 status`" in result.stderr
    result = cli("status")
    assert result.exit_code == 6
    assert "next:  look on their hosts: systemctl status orchestr8-master" in result.stderr


def test_a_dead_master_is_passed_over(cli, two_pods):
    from orchestr8.client.access import load

    (alive,) = load([cli.kubeconfig]).servers
    write_kubeconfig(cli.kubeconfig, ["https://127.0.0.1:1", alive])
    assert "web-1" in cli.ok("get pods")


def test_a_server_of_another_cluster_gets_nothing(cli, api):
    from orchestr8.client.access import load
    from orchestr8.pki import ca, certificates, kubeconfig
    from tests.unit.cli.standin import NOW

    (server,) = load([cli.kubeconfig]).servers
    cli.kubeconfig.write_text(kubeconfig.render(ca.create(NOW), certificates.admin(), [server], NOW))
    result = cli("get pods")
    assert result.exit_code == 5
    assert "is not the cluster of this kubeconfig" in result.stderr
    assert api.requests == []


def test_a_write_without_an_answer_has_an_unknown_outcome(cli, api, two_pods):
    api.hang_up_on.add(f"DELETE {PODS}/web-1")
    result = cli("delete pod web-1")
    assert result.exit_code == 8
    assert "may or may not have been done" in result.stderr


# -- apply ------------------------------------------------------------------------------------------------------


def test_apply_creates_then_leaves_alone_then_changes(cli, api):
    assert cli.ok("apply -f -", WEB) == "deployment.apps/web created\n"
    assert cli.ok("apply -f -", WEB) == "deployment.apps/web unchanged\n"
    assert cli.ok("apply -f -", WEB.replace("web:1", "web:2")) == "deployment.apps/web configured\n"
    live = api.objects[f"{DEPLOYMENTS}/web"]
    assert live["spec"]["template"]["spec"]["containers"] == [{"name": "web", "image": "web:2"}]
    assert json.loads(live["metadata"]["annotations"][LAST_APPLIED])["spec"]["replicas"] == 3


def test_apply_asks_the_server_to_be_strict(cli, api):
    cli.ok("apply -f -", WEB)
    assert any("fieldValidation=Strict" in target for method, target, _ in api.requests if method == "POST")


def test_a_dry_run_says_so(cli, api):
    assert cli.ok("apply --dry-run -f -", WEB) == "deployment.apps/web created (dry run)\n"
    assert any("dryRun=All" in target for _, target, _ in api.requests)


def test_one_bad_object_does_not_stop_the_others(cli, api, tmp_path):
    file = tmp_path / "two.yaml"
    file.write_text("apiVersion: v9\nkind: Pod\nmetadata: {name: a}\n---\n" + WEB)
    result = cli(f"apply -f {file}")
    assert result.exit_code == 9
    assert result.stderr == f"error: {file}:1: this cluster serves no Pod of v9; it serves v1\n"
    assert "deployment.apps/web created" in result.stdout


def test_what_the_server_refuses_is_shown_with_file_line_and_field(cli, api, tmp_path):
    causes = [{"field": "spec.replicas", "message": "must be 0 or more", "reason": "FieldValueInvalid"}]
    refused = {**status(422, "Invalid", "Deployment web is invalid"), "details": {"causes": causes}}
    api.canned[("POST", DEPLOYMENTS)] = (422, refused)
    file = tmp_path / "web.yaml"
    file.write_text(WEB)
    result = cli(f"apply -f {file}")
    assert result.exit_code == 9
    assert f"{file}:1: Deployment web is invalid" in result.stderr
    assert "spec.replicas: must be 0 or more" in result.stderr


def test_a_field_that_the_server_does_not_know_makes_the_manifest_invalid(cli, api, tmp_path):
    api.canned[("POST", DEPLOYMENTS)] = (400, status(400, "BadRequest", 'unknown field "spec.replica"'))
    file = tmp_path / "web.yaml"
    file.write_text(WEB)
    result = cli(f"apply -f {file}")
    assert result.exit_code == 9
    assert f'{file}:1: unknown field "spec.replica"' in result.stderr


# -- the other verbs --------------------------------------------------------------------------------------------


def test_delete_waits_until_the_object_is_gone(cli, api, two_pods):
    assert cli.ok("delete pod web-1") == "pod/web-1 deleted\n"
    assert f"{PODS}/web-1" not in api.objects


def test_delete_refuses_to_guess(cli):
    result = cli("delete pods")
    assert result.exit_code == 1
    assert "-l LABELS, or --all" in result.stderr


def test_delete_takes_what_a_file_names(cli, api, tmp_path):
    cli.ok("apply -f -", WEB)
    file = tmp_path / "web.yaml"
    file.write_text(WEB)
    cli.ok(f"delete -f {file}")
    assert api.objects == {}


def test_an_object_that_stays_ends_the_wait_with_its_own_code(cli, api, two_pods):
    api.canned[("DELETE", f"{PODS}/web-1")] = (200, api.objects[f"{PODS}/web-1"])
    result = cli("delete pod web-1 --timeout 0s")
    assert result.exit_code == 7
    assert "orchestr8 describe pod/web-1" in result.stderr


def test_scale_sets_the_wish(cli, api):
    api.canned[("PATCH", f"{DEPLOYMENTS}/web/scale")] = (200, {})
    assert cli.ok("scale deploy/web --replicas 5") == "deployment.apps/web scaled to 5\n"
    assert api.requests[-1][2] == {"spec": {"replicas": 5}}


def deployment(**status_fields):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "default",
            "generation": 2,
            "annotations": {"deployment.kubernetes.io/revision": "2"},
        },
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {}},
        "status": {
            "observedGeneration": 2,
            "replicas": 3,
            "updatedReplicas": 3,
            "availableReplicas": 3,
            **status_fields,
        },
    }


@pytest.mark.parametrize(
    ("status_fields", "words"),
    [
        ({}, "rolled out: 3 of 3 available"),
        ({"observedGeneration": 1}, "waiting for the controller"),
        ({"updatedReplicas": 1}, "1 of 3 new replicas made"),
        ({"replicas": 4}, "1 old replicas still to end"),
        ({"availableReplicas": 2}, "2 of 3 new replicas available"),
    ],
)
def test_a_rollout_says_where_it_is(cli, api, status_fields, words):
    api.put(f"{DEPLOYMENTS}/web", deployment(**status_fields))
    assert words in cli.ok("rollout status deploy/web --no-watch")


def test_a_rollout_past_its_deadline_fails_with_a_way_back(cli, api):
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    api.put(f"{DEPLOYMENTS}/web", deployment(updatedReplicas=1, conditions=[condition]))
    result = cli("rollout status deploy/web")
    assert result.exit_code == 1
    assert "orchestr8 rollout undo deploy/web" in result.stderr


def replica_set(revision, image, owner):
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"web-{revision}",
            "namespace": "default",
            "labels": {"app": "web"},
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "ownerReferences": [{"uid": owner, "kind": "Deployment", "name": "web"}],
        },
        "spec": {
            "template": {
                "metadata": {"labels": {"app": "web", "pod-template-hash": f"h{revision}"}},
                "spec": {"containers": [{"name": "web", "image": image}]},
            }
        },
    }


def test_undo_goes_back_to_the_template_of_the_revision_before(cli, api):
    owner = api.put(f"{DEPLOYMENTS}/web", deployment())["metadata"]["uid"]
    for revision in (1, 2):
        api.put(
            f"/apis/apps/v1/namespaces/default/replicasets/web-{revision}",
            replica_set(revision, f"web:{revision}", owner),
        )
    assert cli.ok("rollout history deploy/web").splitlines()[1].split()[:2] == ["1", "web:1"]
    assert cli.ok("rollout undo deploy/web") == "deployment.apps/web rolled back to revision 1\n"
    template = api.objects[f"{DEPLOYMENTS}/web"]["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "web:1"
    assert template["metadata"]["labels"] == {"app": "web"}


def test_logs_come_from_the_pods_container(cli, api):
    api.put(f"{PODS}/web-1", pod("web-1", spec={"containers": [{"name": "c"}]}))
    api.canned[("GET", f"{PODS}/web-1/log")] = (200, b"one\ntwo\n")
    assert cli.ok("logs web-1 --tail 2") == "one\ntwo\n"
    assert "tailLines=2" in api.requests[-1][1]
    assert "container=c" in api.requests[-1][1]


def test_logs_of_a_deployment_mark_each_pods_lines(cli, api):
    api.put(f"{DEPLOYMENTS}/web", deployment())
    for number in (1, 2):
        found = pod(f"web-{number}", spec={"containers": [{"name": "c"}]})
        found["metadata"]["labels"] = {"app": "web"}
        api.put(f"{PODS}/web-{number}", found)
        api.canned[("GET", f"{PODS}/web-{number}/log")] = (200, b"line\n")
    assert sorted(cli.ok("logs deploy/web").splitlines()) == ["[web-1/c] line", "[web-2/c] line"]


def test_why_prints_the_schedulers_words(cli, api):
    api.canned[("GET", "/orchestr8/v1/why/default/web-1")] = (200, {"text": "Pending: 0 of 5 nodes fit.\n"})
    assert cli.ok("why pod/web-1") == "Pending: 0 of 5 nodes fit.\n"


def cluster_status(**changes):
    return {
        "quorum": True,
        "leader": "m1",
        "term": 7,
        "revision": 42,
        "answeredBy": "m1",
        "ageSeconds": None,
        "masters": [{"name": "m1", "address": "10.0.0.1:7443", "role": "leader", "connected": True}],
        "nodes": [{"name": "w1", "ready": True, "schedulable": True, "podCIDR": "10.70.0.0/24", "version": "v0.1.0"}],
        "pods": {"Running": 3},
        "warnings": [],
        **changes,
    }


def test_status_shows_masters_nodes_and_pods(cli, api):
    api.canned[("GET", "/orchestr8/v1/status")] = (200, cluster_status())
    out = cli.ok("status")
    assert "m1 leads in term 7" in out
    assert "w1     Ready" in out
    assert "Pods: 3 Running" in out


def test_status_answers_without_a_quorum_and_says_so(cli, api):
    told = cluster_status(quorum=False, leader=None, ageSeconds=12.5, warnings=["no quorum: start the missing masters"])
    api.canned[("GET", "/orchestr8/v1/status")] = (200, told)
    result = cli("status")
    assert result.exit_code == 0
    assert "without a quorum: as m1 knows it, last heard of the others 12.5 s ago" in result.stdout
    assert "start the missing masters" in result.stderr


def test_version_answers_without_a_cluster():
    result = CliRunner().invoke(main, ["version"], env={"KUBECONFIG": "/nowhere"})
    assert result.exit_code == 0
    assert result.stdout.startswith("client: ")
    assert "not reached" in result.stderr


def test_describe_shows_fields_conditions_and_events_but_no_secrets(cli, api):
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2024-01-01T00:00:00Z"}
    shown = pod(
        "web-1", spec={"nodeName": "w1"}, status={"phase": "Running", "podIP": "10.70.0.2", "conditions": [condition]}
    )
    api.put(f"{PODS}/web-1", shown)
    event = {"metadata": {"name": "e"}, "type": "Warning", "reason": "BackOff", "message": "again", "count": 3}
    api.put("/api/v1/namespaces/default/events/e", event)
    out = cli.ok("describe pod web-1")
    assert "State:      Running, on w1" in out
    assert "Pod IP: 10.70.0.2" in out
    assert "Ready                      True" in out
    assert "again (x3)" in out
    secret = {"kind": "Secret", "metadata": {"name": "s", "namespace": "default"}, "data": {"key": "aGlkZGVu"}}
    api.put("/api/v1/namespaces/default/secrets/s", secret)
    out = cli.ok("describe secret s")
    assert "  key: (not shown)" in out and "aGlkZGVu" not in out


def test_describe_leaves_names_that_somebody_chose_as_they_are(cli, api):
    requests = {"cpu": "1", "example.com/gpu": "2"}
    container = {"name": "main", "resources": {"requests": requests}}
    shown = pod("web-1", spec={"containers": [container], "nodeSelector": {"disk": "ssd"}})
    shown["metadata"] |= {"annotations": {"note": "x"}, "labels": {"app": "web", "tier": "front"}}
    api.put(f"{PODS}/web-1", shown)
    lines = [line.strip() for line in cli.ok("describe pod web-1").splitlines()]
    assert {"note: x", "Labels: app=web, tier=front", "disk: ssd", "cpu: 1", "example.com/gpu: 2"} <= set(lines)
    service = {"kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}}
    api.put("/api/v1/namespaces/default/services/web", service)
    assert "  Selector: app=web" in cli.ok("describe svc web").splitlines()


def test_a_token_is_stored_as_a_hash_and_printed_once(cli, api):
    line = cli.ok("token create --uses 2 --address 10.0.0.1:7443").strip()
    words = line.split()
    assert words[:3] == ["orchestr8", "join", "10.0.0.1:7443"]
    token = tokens.parse(words[3])
    kept = api.objects[f"/api/v1/namespaces/kube-system/secrets/bootstrap-token-{token.id}"]
    assert token.secret not in json.dumps(kept)
    assert base64.b64decode(kept["data"]["secret-sha256"]).decode() == tokens.secret_sha256(token.secret)
    assert cli.ok("token list").splitlines()[1].split()[:3] == [token.id, "worker", "2"]
    cli.ok(f"token delete {token.text()}")
    assert api.objects == {}
