"""Fields that Kubernetes knows and this version does not carry out: named in a warning, or refused.

Refused is what would be unsafe, or plainly wrong, to ignore: isolation that was asked for, data that would not be
where it should be, a probe that nobody would run. All else is stored and named in a warning, never silently dropped.
THE table to shorten when a field starts to work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Literal

import msgspec

from orchestr8.api import codec
from orchestr8.api.meta import Object
from orchestr8.api.pod import Pod
from orchestr8.api.service import Service
from orchestr8.api.workloads import Deployment, ReplicaSet
from orchestr8.errors import Cause

Action = Literal["warn", "refuse"]
PRODUCT = "orchestr8"


def _always(value: Any) -> bool:
    """Set, and not to a value that asks for nothing."""
    return value not in (None, False, "", {}, [])


def _other_than(*harmless: Any) -> Callable[[Any], bool]:
    return lambda value: _always(value) and value not in harmless


class NotRun(msgspec.Struct, frozen=True):
    """``path``: under the pod's spec; ``[]`` stands for each item of a list. ``why`` completes "... because"."""

    path: str
    action: Action
    why: str
    concerns: Callable[[Any], bool] = _always


_SOURCES = (
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "downwardAPI",
    "ephemeral",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "image",
    "iscsi",
    "nfs",
    "persistentVolumeClaim",
    "photonPersistentDisk",
    "portworxVolume",
    "projected",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
)

_POD = (
    NotRun("hostPID", "refuse", "pods cannot share the host's processes yet"),
    NotRun("hostIPC", "refuse", "pods cannot share the host's inter-process communication yet"),
    NotRun("hostNetwork", "refuse", "every pod has a network of its own"),
    NotRun("hostUsers", "refuse", "pods cannot have a user namespace of their own yet", lambda value: value is False),
    NotRun("runtimeClassName", "refuse", "there are no runtime classes, so the isolation asked for would be missing"),
    NotRun("os.name", "refuse", "only Linux nodes exist", _other_than("linux")),
    NotRun("resourceClaims", "refuse", "devices cannot be claimed yet"),
    NotRun("ephemeralContainers", "refuse", "containers cannot be added to a pod that runs yet"),
    NotRun("activeDeadlineSeconds", "warn", "nothing ends the pod at its deadline yet"),
    NotRun("securityContext.windowsOptions", "refuse", "only Linux nodes exist"),
    NotRun("securityContext.seLinuxOptions", "refuse", "SELinux labels are not set yet"),
    NotRun("securityContext.sysctls", "refuse", "kernel parameters of a pod are not set yet"),
    NotRun("securityContext.fsGroup", "warn", "the group of a volume's files is not changed"),
    NotRun("securityContext.fsGroupChangePolicy", "warn", "the group of a volume's files is not changed"),
    NotRun("securityContext.supplementalGroups", "warn", "processes get no supplemental groups"),
    NotRun("securityContext.supplementalGroupsPolicy", "warn", "processes get no supplemental groups"),
    NotRun("securityContext.seLinuxChangePolicy", "warn", "SELinux labels are not set"),
    NotRun("affinity.podAffinity", "warn", "the scheduler does not look at other pods yet"),
    NotRun("affinity.podAntiAffinity", "warn", "the scheduler does not look at other pods yet"),
    NotRun("topologySpreadConstraints", "warn", "the scheduler does not spread pods by topology yet"),
    NotRun("shareProcessNamespace", "warn", "each container has its own process namespace"),
    NotRun("serviceAccountName", "warn", "no token is put into the pod", _other_than("default")),
    NotRun("automountServiceAccountToken", "warn", "no token is put into the pod"),
    NotRun("imagePullSecrets", "warn", "images are pulled with the node's own credentials"),
    NotRun("priorityClassName", "warn", "pods have no priorities yet"),
    NotRun("priority", "warn", "pods have no priorities yet"),
    NotRun("preemptionPolicy", "warn", "pods have no priorities yet"),
    NotRun("schedulerName", "warn", "there is one scheduler", _other_than("default-scheduler")),
    NotRun("overhead", "warn", "only the containers' own requests count"),
    NotRun("resources", "warn", "only the containers' own resources count"),
    NotRun("subdomain", "warn", "there is no cluster DNS yet"),
    NotRun("setHostnameAsFQDN", "warn", "there is no cluster DNS yet"),
    NotRun("hostnameOverride", "warn", "the pod's hostname is spec.hostname or its name"),
    NotRun("evictionResponders", "warn", "evictions are not announced"),
    NotRun("schedulingGroup", "warn", "pods are scheduled one by one"),
    *(
        NotRun(f"volumes[].{source}", "refuse", "only emptyDir, hostPath, configMap and secret volumes are mounted yet")
        for source in _SOURCES
    ),
    NotRun("volumes[].configMap.defaultUser", "warn", "files belong to root"),
    NotRun("volumes[].secret.defaultUser", "warn", "files belong to root"),
    NotRun("volumes[].emptyDir.mode", "warn", "an emptyDir is open to every user of the pod"),
)

_SECURITY = (
    NotRun(
        "seccompProfile",
        "refuse",
        "profiles of the node's own are not loaded yet",
        lambda value: value["type"] == "Localhost",
    ),
    NotRun("seccompProfile", "warn", "the default profile stays on", lambda value: value["type"] == "Unconfined"),
    NotRun(
        "appArmorProfile",
        "refuse",
        "profiles of the node's own are not loaded yet",
        lambda value: value["type"] == "Localhost",
    ),
    NotRun("appArmorProfile", "warn", "the default profile stays on", lambda value: value["type"] == "Unconfined"),
)

_CONTAINER = (
    NotRun("securityContext.procMount", "refuse", "/proc is always masked", _other_than("Default")),
    NotRun("securityContext.seLinuxOptions", "refuse", "SELinux labels are not set yet"),
    NotRun("securityContext.windowsOptions", "refuse", "only Linux nodes exist"),
    NotRun("volumeDevices", "refuse", "block devices are not passed to containers yet"),
    NotRun("volumeMounts[].recursiveReadOnly", "refuse", "read-only is not recursive yet", _other_than("Disabled")),
    NotRun("volumeMounts[].mountPropagation", "warn", "mounts made later are not passed on", _other_than("None")),
    NotRun("volumeMounts[].bindMountOptions", "warn", "mounts have their default options"),
    NotRun("resources.claims", "refuse", "devices cannot be claimed yet"),
    NotRun("env[].valueFrom.fileKeyRef", "refuse", "values cannot come from files of a volume yet"),
    NotRun("livenessProbe.grpc", "refuse", "gRPC probes are not run yet"),
    NotRun("readinessProbe.grpc", "refuse", "gRPC probes are not run yet"),
    NotRun("startupProbe.grpc", "refuse", "gRPC probes are not run yet"),
    NotRun("lifecycle.stopSignal", "warn", "containers are stopped with SIGTERM"),
    NotRun("ports[].hostPort", "warn", "ports of the host are not forwarded; use a Service of type NodePort"),
    NotRun("ports[].hostIP", "warn", "ports of the host are not forwarded"),
    NotRun("resizePolicy", "warn", "resources of a running container are not changed"),
    NotRun("restartPolicyRules", "warn", "the pod's restartPolicy decides"),
    NotRun("stdinOnce", "warn", "standard input stays open"),
    NotRun("terminationMessagePath", "warn", "no termination message is read", _other_than("/dev/termination-log")),
    NotRun("terminationMessagePolicy", "warn", "no termination message is read", _other_than("File")),
)

_INIT_CONTAINER = (
    NotRun(
        "restartPolicy", "refuse", "init containers that keep running (sidecars) are not run yet", _other_than("Never")
    ),
)
_MAIN_CONTAINER = (NotRun("restartPolicy", "warn", "the pod's restartPolicy decides"),)

_SERVICE = (
    NotRun("type", "warn", "there is no load balancer; the node ports work", lambda value: value == "LoadBalancer"),
    NotRun("externalName", "warn", "there is no cluster DNS yet"),
    NotRun("externalIPs", "warn", "addresses outside the cluster are not served"),
    NotRun("loadBalancerIP", "warn", "there is no load balancer"),
    NotRun("loadBalancerClass", "warn", "there is no load balancer"),
    NotRun("loadBalancerSourceRanges", "refuse", "nothing would keep other sources out"),
    NotRun("internalTrafficPolicy", "warn", "endpoints of every node are used", _other_than("Cluster")),
    NotRun("trafficDistribution", "warn", "all endpoints are used alike"),
    NotRun("ipFamilyPolicy", "warn", "Services have one IPv4 address", _other_than("SingleStack")),
    NotRun("ipFamilies[]", "refuse", "Services have IPv4 addresses only", _other_than("IPv4")),
    NotRun("ports[].protocol", "refuse", "only TCP and UDP are forwarded", lambda value: value == "SCTP"),
)


def _under(prefix: str, rules: tuple[NotRun, ...]) -> tuple[NotRun, ...]:
    return tuple(msgspec.structs.replace(rule, path=f"{prefix}{rule.path}") for rule in rules)


NOT_RUN_POD: tuple[NotRun, ...] = (
    *_POD,
    *_under("securityContext.", _SECURITY),
    *(
        rule
        for field, own in (("initContainers[].", _INIT_CONTAINER), ("containers[].", _MAIN_CONTAINER))
        for rule in _under(field, (*_CONTAINER, *_under("securityContext.", _SECURITY), *own))
    ),
)
NOT_RUN_SERVICE: tuple[NotRun, ...] = _SERVICE


def not_run(obj: Object) -> tuple[tuple[str, ...], tuple[Cause, ...]]:
    """What of ``obj`` would have no effect: (texts for Warning headers, causes to refuse it with)."""
    match obj:
        case Pod():
            return _judge(NOT_RUN_POD, obj.spec, "spec", pod=True)
        case Deployment() | ReplicaSet():
            return _judge(NOT_RUN_POD, obj.spec.template.spec, "spec.template.spec", pod=True)
        case Service():
            return _judge(NOT_RUN_SERVICE, obj.spec, "spec", pod=False)
    return (), ()


def _judge(
    rules: tuple[NotRun, ...], spec: Any, prefix: str, *, pod: bool
) -> tuple[tuple[str, ...], tuple[Cause, ...]]:
    value = codec.to_builtins(spec)
    warnings: list[str] = []
    refusals: list[Cause] = []
    for rule in rules:
        for path, found in _find(value, _steps(rule.path), prefix):
            if not rule.concerns(found):
                continue
            if rule.action == "warn":
                warnings.append(f"{path} has no effect on {PRODUCT}: {rule.why}")
            else:
                refusals.append(
                    Cause(path, f"Forbidden: not supported by {PRODUCT}: {rule.why}", "FieldValueForbidden")
                )
    if pod:
        refusals += _unproven_non_root(value, prefix)
    return tuple(warnings), tuple(refusals)


@cache
def _steps(path: str) -> tuple[str, ...]:
    return tuple(path.replace("[]", ".[]").split("."))


def _find(value: Any, steps: tuple[str, ...], path: str) -> Iterator[tuple[str, Any]]:
    """Every value at ``steps`` below ``value``, with its path in full."""
    if not steps:
        yield path, value
    elif steps[0] == "[]":
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield from _find(item, steps[1:], f"{path}[{index}]")
    elif isinstance(value, dict) and steps[0] in value:
        yield from _find(value[steps[0]], steps[1:], f"{path}.{steps[0]}")


def _unproven_non_root(spec: dict[str, Any], prefix: str) -> list[Cause]:
    """``runAsNonRoot`` holds only where runAsUser names a user: the image's own user is not looked at yet."""
    shared = spec.get("securityContext") or {}
    causes = []
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or ()):
            own = container.get("securityContext") or {}
            user = own.get("runAsUser", shared.get("runAsUser"))
            if own.get("runAsNonRoot", shared.get("runAsNonRoot")) and not user:
                path = f"{prefix}.{field}[{index}].securityContext.runAsUser"
                why = "runAsNonRoot needs runAsUser with a number above 0, the image's own user is not checked yet"
                causes.append(Cause(path, f"Required value: {why}", "FieldValueRequired"))
    return causes
