"""Objects whose containers run a shell, which is all that clients need to see of them."""

from __future__ import annotations

from typing import Any

from tests.cluster.lab import registry

IMAGE = registry.BUSYBOX
OTHER_IMAGE = registry.WEB  # has the same shell
NO_IMAGE = "nowhere/none:1"  # cannot be pulled
RUNS = "trap 'exit 0' TERM; echo started; while true; do sleep 0.2; done"
# Part of a script: waits until somebody runs LET_GO in the container.
WAIT = "until [ -e /tmp/go ]; do sleep 0.1; done"
LET_GO = ("touch", "/tmp/go")
# For a terminal: tells its size, at first and whenever it changes; repeats a word; ends with 7 when interrupted.
AT_TERMINAL = """
trap 'stty size' WINCH
trap 'echo interrupted; exit 7' INT
until stty size 2>/dev/null; do sleep 0.1; done
until read word && [ "$word" ]; do true; done
echo "<$word>"
while true; do sleep 0.1; done
"""

Object = dict[str, Any]


def deployment(name: str = "web", replicas: int = 2, script: str = RUNS, image: str = IMAGE) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod_spec(script, image)},
        },
    }


def pod(name: str, script: str = RUNS, image: str = IMAGE, **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {**pod_spec(script, image), **spec},
    }


def pod_spec(script: str, image: str) -> Object:
    command = ["sh", "-c", script]
    return {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "image": image, "command": command}],
    }


def service(name: str = "web") -> Object:
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
