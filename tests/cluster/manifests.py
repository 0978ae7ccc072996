"""Objects that tests create, small enough to be read in one line where they are used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.cluster.lab.registry import BUSYBOX, WEB

FOR_EVER = "trap 'exit 0' TERM; while true; do sleep 0.1; done"
_QUICK = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}
# Requests that are on their way when a pod begins to end still arrive: it leaves the Service first.
_LAST_REQUESTS = {"preStop": {"exec": {"command": ["sleep", "1"]}}}


def container(script: str = FOR_EVER, *, name: str = "main", **fields: Any) -> dict[str, Any]:
    """A container of busybox that runs ``script``."""
    return {"name": name, "image": BUSYBOX, "command": ["sh", "-c", script], **fields}


def web_container(image: str = WEB, **fields: Any) -> dict[str, Any]:
    """An HTTP server on 8080, ready when it answers: see images.py for its pages."""
    return {"name": "web", "image": image, "readinessProbe": _QUICK, "lifecycle": _LAST_REQUESTS, **fields}


def pod(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """``containers`` left out: one that runs for ever."""
    labels = {"app": name}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": list(containers or [container()]), "terminationGracePeriodSeconds": 2, **spec},
    }


def deployment(name: str, *, replicas: int, containers: Sequence[dict[str, Any]] = (), **spec: Any) -> dict[str, Any]:
    """``containers`` left out: an HTTP server. ``spec``: of the pods."""
    labels = {"app": name}
    pod_spec = {"containers": list(containers or [web_container()]), "terminationGracePeriodSeconds": 2, **spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec},
        },
    }


def service(name: str, *ports: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """``ports`` left out: 80 to the HTTP server's 8080."""
    wanted = list(ports or [{"port": 80, "targetPort": 8080}])
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": wanted, **spec},
    }


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
