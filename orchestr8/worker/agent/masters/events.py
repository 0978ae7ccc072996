"""What the agent says about a pod for people to read: Kubernetes Events, sent through the outbox."""

from __future__ import annotations

from typing import Protocol

from orchestr8.api.pod import Pod
from orchestr8.worker.agent.masters.outbox import Outbox


class Tell(Protocol):
    """``type_``: ``Normal`` or ``Warning``. ``container``: its name, when the event concerns only that one."""

    def __call__(self, pod: Pod, type_: str, reason: str, message: str, container: str = "") -> None: ...


def teller(outbox: Outbox) -> Tell:

    def tell(pod: Pod, type_: str, reason: str, message: str, container: str = "") -> None:
        regarding = {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": pod.metadata.namespace,
            "name": pod.metadata.name,
            "uid": pod.metadata.uid,
        }
        if container:
            regarding["fieldPath"] = f"spec.containers{{{container}}}"
        outbox.event(regarding, type_, reason, message)

    return tell
