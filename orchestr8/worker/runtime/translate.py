"""Between our nouns and Podman's JSON (libpod API, versions 4.3 to 5.4). Pure.

What Podman says needs judgement, and all of it is here: a container that was running when the host went down is
listed as ``created`` (4.3) or as ``exited`` with code 0 and no end (5.4); a container whose monitor died stays
``running``; ``OOMKilled`` is always false (4.3) or true when any process inside was killed (5.4).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from orchestr8.worker.runtime.base import (
    EXIT_CODE_UNKNOWN,
    LABEL_CONTAINER_ATTEMPT,
    LABEL_CONTAINER_NAME,
    LABEL_POD_NAME,
    LABEL_POD_NAMESPACE,
    LABEL_POD_UID,
    ContainerPhase,
    ContainerSpec,
    ContainerState,
    Image,
    Sandbox,
    SandboxSpec,
)
from orchestr8.worker.runtime.confinement import Confinement

CPU_PERIOD_MICROSECONDS = 100_000
LOG_BYTES_MAX = 16 * 1024 * 1024  # conmon starts the file afresh above it: a flood never fills the disk

_EXIT_CODE_SIGKILL = 137
_FRACTION = re.compile(r"\.(\d{1,6})\d*")


def infra_name(pod_uid: str) -> str:
    """Of the sandbox's first process, as Podman's API takes it in place of an id."""
    return f"o8-{pod_uid}-infra"


def sandbox_body(spec: SandboxSpec, infra_image: str, podman_version: str) -> dict[str, Any]:
    """The name carries the uid, so that a second sandbox for one pod is refused by Podman itself.

    Before 5 the first process goes without a seccomp filter: it is catatonit, which only waits, and crun of that time
    compiles the filter afresh for 30 to 50 ms each time. The pod's containers keep theirs.
    """
    labels = {
        **spec.labels,
        LABEL_POD_UID: spec.pod_uid,
        LABEL_POD_NAMESPACE: spec.namespace,
        LABEL_POD_NAME: spec.name,
    }
    unfiltered = {"security_opt": ["seccomp=unconfined"]} if podman_version.startswith("4.") else {}
    return {
        **unfiltered,
        "name": f"o8-{spec.pod_uid}",
        "infra_name": infra_name(spec.pod_uid),
        "hostname": spec.hostname,
        "labels": labels,
        "infra_image": infra_image,
        "netns": {"nsmode": "none"},
        "share_parent": False,  # after a reboot 4.3 forgets the pod's own cgroup and could add no container to it
    }


def container_body(sandbox: Sandbox, spec: ContainerSpec, may: Confinement) -> dict[str, Any]:
    """Soft and hard limits are alike, because the API of 4.3 swaps the two."""
    labels = {
        **spec.labels,
        LABEL_POD_UID: sandbox.pod_uid,
        LABEL_CONTAINER_NAME: spec.name,
        LABEL_CONTAINER_ATTEMPT: str(spec.attempt),
    }
    resources: dict[str, Any] = {"pids": {"limit": spec.pids_limit}}
    if spec.memory_bytes:
        resources["memory"] = {"limit": spec.memory_bytes, "swap": spec.memory_bytes}
    cpu: dict[str, int] = {}
    if spec.cpu_millis:
        cpu = {"quota": spec.cpu_millis * CPU_PERIOD_MICROSECONDS // 1000, "period": CPU_PERIOD_MICROSECONDS}
    if spec.cpu_shares:
        cpu["shares"] = spec.cpu_shares
    if cpu:
        resources["cpu"] = cpu
    body: dict[str, Any] = {
        "name": f"o8-{sandbox.pod_uid}-{spec.name}-{spec.attempt}",
        "pod": sandbox.id,
        "image": spec.image,
        "env": dict(spec.env),
        "labels": labels,
        "mounts": [
            {
                "destination": mount.target,
                "source": mount.source,
                "type": "bind",
                "options": ["rbind", "ro" if mount.read_only else "rw"],
            }
            for mount in spec.mounts
        ],
        "resource_limits": resources,
        "r_limits": [{"type": name, "soft": value, "hard": value} for name, value in may.rlimits.items()],
        "oom_score_adj": max(spec.oom_score_adj, may.oom_score_min),
        "terminal": spec.tty,
        "stdin": spec.stdin,
        "read_only_filesystem": spec.read_only_root,
        "privileged": spec.privileged,
        "no_new_privileges": spec.no_new_privileges,
        "restart_policy": "no",
        "log_configuration": {"driver": "k8s-file", "size": LOG_BYTES_MAX},
    }
    optional = {
        "entrypoint": list(spec.command),
        "command": list(spec.args),
        "work_dir": spec.working_dir,
        "user": spec.user,
        "cap_add": list(spec.capabilities_add),
        "cap_drop": list(spec.capabilities_drop),
    }
    return body | {key: value for key, value in optional.items() if value}


def container_state(inspected: Mapping[str, Any], *, alive: bool, keeper_alive: bool, oom_kills: int) -> ContainerState:
    """From the JSON of inspect. ``alive``: the process is really there; ``oom_kills``: counter of its cgroup."""
    state = inspected["State"]
    labels = inspected["Config"].get("Labels") or {}
    started, finished = parse_time(state.get("StartedAt")), parse_time(state.get("FinishedAt"))
    phase, exit_code = _phase(state["Status"], started, alive), None
    if phase is ContainerPhase.EXITED:
        exit_code = int(state.get("ExitCode") or 0) if finished and state["Status"] != "running" else EXIT_CODE_UNKNOWN
    return ContainerState(
        id=inspected["Id"],
        name=labels.get(LABEL_CONTAINER_NAME, ""),
        attempt=int(labels.get(LABEL_CONTAINER_ATTEMPT, "0")),
        phase=phase,
        image=inspected.get("ImageName") or "",
        image_id=inspected.get("Image") or "",
        created_at=parse_time(inspected.get("Created")),
        started_at=started,
        finished_at=finished if phase is ContainerPhase.EXITED else None,
        exit_code=max(exit_code, EXIT_CODE_UNKNOWN) if exit_code is not None else None,
        oom_killed=exit_code == _EXIT_CODE_SIGKILL and (bool(state.get("OOMKilled")) or oom_kills > 0),
        keeper_lost=not keeper_alive and started is not None and (alive or exit_code == EXIT_CODE_UNKNOWN),
        pid=int(state.get("Pid") or 0) if phase is ContainerPhase.RUNNING else 0,
        labels=labels,
    )


def _phase(status: str, started: dt.datetime | None, alive: bool) -> ContainerPhase:
    if status in ("running", "paused", "stopping"):
        return ContainerPhase.RUNNING if alive else ContainerPhase.EXITED
    return ContainerPhase.CREATED if started is None else ContainerPhase.EXITED


def group(listed: Sequence[Mapping[str, Any]], states: Mapping[str, ContainerState]) -> list[Sandbox]:
    """Sandboxes from the *unfiltered* list of containers. ``states``: id -> state of every container of ours."""
    members: dict[str, list[ContainerState]] = {}
    for item in listed:
        if is_ours(item) and not item["IsInfra"] and item["Id"] in states:
            members.setdefault(item["Pod"], []).append(states[item["Id"]])
    return [
        Sandbox(
            id=item["Pod"],
            pod_uid=item["Labels"][LABEL_POD_UID],
            labels=item["Labels"],
            network_pid=states[item["Id"]].pid,
            created_at=parse_time(item["Created"]) or dt.datetime.fromtimestamp(0, dt.UTC),
            containers=tuple(sorted(members.get(item["Pod"], ()), key=lambda state: (state.name, state.attempt))),
        )
        for item in listed
        if is_ours(item) and item["IsInfra"] and item["Id"] in states
    ]


def is_ours(item: Mapping[str, Any]) -> bool:
    return LABEL_POD_UID in (item.get("Labels") or {})


def image(found: Mapping[str, Any]) -> Image:
    """From one entry of the image list or from image inspect."""
    names = [*(found.get("RepoTags") or ()), *(found.get("RepoDigests") or ())]
    return Image(
        id=found["Id"].removeprefix("sha256:"),
        names=tuple(names),
        size_bytes=int(found.get("Size") or 0),
        user=str(found.get("User") or ""),
    )


def pulled_id(progress: bytes) -> str:
    """The image's id from the answer of a pull (JSON lines); raises ValueError with the registry's complaint."""
    last_error, identifier = "", ""
    for line in progress.splitlines():
        if not line.strip():
            continue
        report = msgspec.json.decode(line, type=dict[str, Any])
        last_error = report.get("error") or last_error
        identifier = report.get("id") or identifier
    if last_error or not identifier:
        raise ValueError(last_error or "the registry answered without an image")
    return identifier


def stop_signal(inspected: Mapping[str, Any]) -> str:
    """4.3 gives a number, 5.4 a name."""
    return str(inspected["Config"].get("StopSignal") or "SIGTERM")


def parse_time(text: str | None) -> dt.datetime | None:
    """Go's RFC 3339 with nanoseconds; its zero time (year 1) and an empty text are None."""
    if not text or text.startswith("0001-"):
        return None
    return dt.datetime.fromisoformat(_FRACTION.sub(lambda found: f".{found[1]:0<6}", text)).astimezone(dt.UTC)
