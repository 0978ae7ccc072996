"""What a container is given: image, environment, volumes, limits, a network with its neighbours; how it is reached."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from tests.cluster import containers
from tests.cluster.api import is_live, until
from tests.cluster.cluster import Cluster
from tests.cluster.lab import LabFailed
from tests.cluster.lab.lab import REGISTRY
from tests.cluster.lab.registry import BUSYBOX
from tests.cluster.manifests import FOR_EVER, config_map, container, pod
from tests.cluster.space import Object, Space, space

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def here(shared_cluster: Cluster) -> Iterator[Space]:
    with space(shared_cluster.api, "inputs") as made:
        made.create(config_map("settings", colour="green", size="big"))
        made.create(secret("password", word="hunter2"))
        yield made


def secret(name: str, **data: str) -> Object:
    coded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": coded}


def printed(cluster: Cluster, here: Space, name: str) -> list[str]:
    """What a pod that runs to its end printed, line by line."""
    done = here.pod_when(name, "has ended", lambda p: p["status"]["phase"] in ("Succeeded", "Failed"))
    text = cluster.kubectl("logs", "-n", here.name, name)
    assert done["status"]["phase"] == "Succeeded", f"{done['status']}\n{text}"
    return text.splitlines()


def last_end(pod: Object) -> Object:
    """How the container before the present one ended; {} if there was none."""
    found: Object = pod["status"]["containerStatuses"][0].get("lastState", {}).get("terminated", {})
    return found


def waiting_for(pod: Object) -> str:
    """The reason why its first container does not run; "" if it does."""
    told = pod["status"].get("containerStatuses") or [{"state": {}}]
    return str(told[0]["state"].get("waiting", {}).get("reason", ""))


# -- environment --------------------------------------------------------------------------------------------------


def test_the_environment_comes_from_values_maps_secrets_and_fields(cluster: Cluster, here: Space) -> None:
    env = [
        {"name": "PLAIN", "value": "plain"},
        {"name": "JOINED", "value": "$(PLAIN)-$(COLOUR)-$$(PLAIN)"},
        {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "password", "key": "word"}}},
        {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "nothing", "key": "x", "optional": True}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
    ]
    names = "PLAIN COLOUR WORD POD APP NODE POD_IP MEMORY pre_size JOINED"
    script = " ".join(["echo", *(f'"${name}"' for name in names.split()), '"${NONE-unset}"'])
    main = container(
        script,
        env=[env[0], *env[2:], env[1]],
        envFrom=[{"prefix": "pre_", "configMapRef": {"name": "settings"}}],
        resources={"limits": {"memory": "32Mi"}},
    )
    here.create(pod("env", main, restartPolicy="Never"))
    (told,) = printed(cluster, here, "env")
    status = here.get("Pod", "env")
    node, ip = status["spec"]["nodeName"], status["status"]["podIP"]
    assert told == f"plain green hunter2 env env {node} {ip} 32 big plain-green-$(PLAIN) unset"


def test_a_pod_waits_for_its_config_map_and_runs_when_it_comes(cluster: Cluster, here: Space) -> None:
    source = [{"name": "LATE", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "word"}}}]
    here.create(pod("waits", container("echo $LATE", env=source), restartPolicy="Never"))
    here.pod_when("waits", "waits", lambda p: waiting_for(p) == "CreateContainerConfigError")
    here.create(config_map("late", word="at last"))
    assert printed(cluster, here, "waits") == ["at last"]


# -- volumes ------------------------------------------------------------------------------------------------------


def test_volumes_of_every_kind(cluster: Cluster, here: Space) -> None:
    volumes = [
        {"name": "map", "configMap": {"name": "settings"}},
        {"name": "one", "configMap": {"name": "settings", "items": [{"key": "size", "path": "deep/size"}]}},
        {"name": "secret", "secret": {"secretName": "password", "defaultMode": 0o400}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
        {"name": "host", "hostPath": {"path": "/etc/hostname", "type": "File"}},
    ]
    mounts = [
        {"name": "map", "mountPath": "/map"},
        {"name": "one", "mountPath": "/one"},
        {"name": "secret", "mountPath": "/secret"},
        {"name": "scratch", "mountPath": "/scratch"},
        {"name": "memory", "mountPath": "/memory"},
        {"name": "host", "mountPath": "/host", "readOnly": True},
    ]
    script = """
cat /map/colour; echo; cat /one/deep/size; echo; cat /secret/word; echo
stat -L -c %a /secret/word
echo kept >/scratch/file && cat /scratch/file
grep -c ' /memory tmpfs ' /proc/mounts; grep -c ' /secret tmpfs ' /proc/mounts
cat /host
echo no 2>/dev/null >/host || echo read-only
echo no 2>/dev/null >/map/colour || echo read-only
"""
    here.create(pod("volumes", container(script, volumeMounts=mounts), volumes=volumes, restartPolicy="Never"))
    told = printed(cluster, here, "volumes")
    node = here.get("Pod", "volumes")["spec"]["nodeName"]
    assert told == ["green", "big", "hunter2", "400", "kept", "1", "1", node, "read-only", "read-only"]


def test_containers_share_volumes_and_network_and_a_changed_map_arrives(cluster: Cluster, here: Space) -> None:
    here.create(config_map("page", **{"index.html": "old"}))
    page = {"name": "page", "configMap": {"name": "page"}}
    at = [{"name": "page", "mountPath": "/www"}]
    server = {"name": "server", "image": BUSYBOX, "command": ["httpd", "-f", "-p", "8080", "-h", "/www"]}
    main = container(f"hostname; {FOR_EVER}")
    here.create(pod("pair", {**server, "volumeMounts": at}, main, volumes=[page]))
    here.pod_when("pair", "is live", is_live)
    fetch = ("exec", "-n", here.name, "pair", "-c", "main", "--", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/")
    until("the page is served", lambda: cluster.kubectl(*fetch, check=False), holds=lambda text: text == "old")
    here.patch("ConfigMap", "page", {"data": {"index.html": "new"}})
    until("the change arrives", lambda: cluster.kubectl(*fetch, check=False), holds=lambda text: text == "new")
    assert cluster.kubectl("logs", "-n", here.name, "pair", "-c", "main").strip() == "pair"


# -- limits -------------------------------------------------------------------------------------------------------


def test_requests_and_limits_are_in_the_cgroup(cluster: Cluster, here: Space) -> None:
    resources = {"requests": {"cpu": "200m", "memory": "16Mi"}, "limits": {"cpu": "500m", "memory": "48Mi"}}
    here.create(pod("limited", container(resources=resources), nodeName="w1"))
    limited = here.pod_when("limited", "is live", is_live)
    w1 = cluster.lab["w1"]
    main = containers.only(w1, limited)
    assert containers.memory_limit(w1, main) == 48 * MIB
    assert containers.cpu_limit(w1, main) == 0.5
    assert limited["status"]["qosClass"] == "Burstable"


# -- images -------------------------------------------------------------------------------------------------------


def test_an_image_is_pulled_once(cluster: Cluster, here: Space) -> None:
    for name in ("brings-it", "has-it"):
        here.create(pod(name, container(), nodeName="w1"))
        here.pod_when(name, "is live", is_live)
        until("its events tell", lambda name=name: here.events(name), holds=lambda told: "Started" in told)  # type: ignore[misc]
    assert "Pulling" not in here.events("has-it")


def test_the_absence_of_an_image_is_told(cluster: Cluster, here: Space) -> None:
    here.create(pod("absent", container() | {"image": f"{REGISTRY}/nothing:1"}))
    here.create(pod("never", container() | {"image": f"{REGISTRY}/nothing:2", "imagePullPolicy": "Never"}))
    here.pod_when("absent", "cannot be pulled", lambda p: waiting_for(p) in ("ErrImagePull", "ImagePullBackOff"))
    here.pod_when("never", "is not pulled", lambda p: waiting_for(p) == "ErrImageNeverPull")
    until("its events tell", lambda: here.events("absent"), holds=lambda told: {"Pulling", "Failed", "BackOff"} <= told)
    events = [event for event in here.objects("Event") if event["involvedObject"]["name"] == "absent"]
    assert any(f"{REGISTRY}/nothing:1" in event["message"] for event in events)
    here.delete("Pod", "absent")
    here.delete("Pod", "never")


# -- reaching it --------------------------------------------------------------------------------------------------


def test_logs_and_commands_reach_any_worker_through_any_master(cluster: Cluster, here: Space) -> None:
    count = "$(ls /scratch | wc -l)"
    script = f"echo attempt {count}; if [ {count} = 0 ]; then touch /scratch/first; exit 1; fi; {FOR_EVER}"
    scratch, at = {"name": "scratch", "emptyDir": {}}, [{"name": "scratch", "mountPath": "/scratch"}]
    for worker in cluster.workers:
        name = f"talks-{worker.name}"
        here.create(pod(name, container(script, volumeMounts=at), volumes=[scratch], nodeName=worker.name))
        here.pod_when(name, "runs again", lambda p: is_live(p) and last_end(p).get("exitCode") == 1)
        for master in cluster.masters:
            through = (f"--server=https://{master.ip}:6443", "-n", here.name)
            assert cluster.kubectl(*through, "logs", name) == "attempt 1\n"
            assert cluster.kubectl(*through, "logs", "--previous", name) == "attempt 0\n"
            assert cluster.kubectl(*through, "exec", name, "--", "hostname") == f"{name}\n"
            with pytest.raises(LabFailed, match="ended with 7"):
                cluster.kubectl(*through, "exec", name, "--", "sh", "-c", "exit 7")
