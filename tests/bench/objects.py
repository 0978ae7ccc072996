"""The objects that benchmarks create, small on purpose: what is measured is the cluster, not the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.cluster.lab import registry

PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
IMAGE = registry.BUSYBOX
LONG_SLEEP = ("sleep", "86400")


def pod(name: str, command: Sequence[str] = LONG_SLEEP) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod_spec(command)}


def deployment(name: str, replicas: int, **spec: Any) -> dict[str, Any]:
    """Its pods carry the label ``app: NAME``; ``spec`` is added to their spec."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {**pod_spec(LONG_SLEEP), **spec}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def pod_spec(command: Sequence[str]) -> dict[str, Any]:
    return {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "c",
                "image": IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "command": list(command),
                "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}},
            }
        ],
    }


def phase(pod: dict[str, Any]) -> str:
    found: str = pod.get("status", {}).get("phase", "")
    return found


def is_running(pod: dict[str, Any]) -> bool:
    """The phase is Running and every container runs."""
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return phase(pod) == "Running" and bool(statuses) and all("running" in each["state"] for each in statuses)


def restarts(pod: dict[str, Any]) -> int:
    return sum(each.get("restartCount", 0) for each in pod.get("status", {}).get("containerStatuses", []))
