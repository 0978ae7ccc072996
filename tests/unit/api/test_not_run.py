"""A field that is known and not run is named in a warning or refused, never passed over."""

from __future__ import annotations

from typing import Any

import pytest

from orchestr8.api import codec
from orchestr8.api.defaults import apply_defaults
from orchestr8.api.pod import Container, PodSpec, Volume
from orchestr8.api.service import ServiceSpec
from orchestr8.api.shape import Shape, fields_of
from orchestr8.api.validation import not_run
from orchestr8.api.validation.not_run import NOT_RUN_POD, NOT_RUN_SERVICE

CONTAINER = {"name": "c", "image": "i:1"}


def judged(kind: str, spec: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Paths warned of, paths refused."""
    warnings, refusals = not_run(apply_defaults(codec.from_builtins(kind, {"spec": spec})))
    return [text.partition(" ")[0] for text in warnings], [cause.field for cause in refusals]


def pod(**spec: Any) -> dict[str, Any]:
    return {"containers": [CONTAINER], **spec}


def container(**fields: Any) -> dict[str, Any]:
    return {"containers": [{**CONTAINER, **fields}]}


C = "spec.containers[0]"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (pod(hostPID=True), "spec.hostPID"),
        (pod(hostIPC=True), "spec.hostIPC"),
        (pod(hostNetwork=True), "spec.hostNetwork"),
        (pod(hostUsers=False), "spec.hostUsers"),
        (pod(runtimeClassName="gvisor"), "spec.runtimeClassName"),
        (pod(os={"name": "windows"}), "spec.os.name"),
        (
            pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]),
            "spec.volumes[0].persistentVolumeClaim",
        ),
        (pod(volumes=[{"name": "v", "nfs": {"server": "s", "path": "/"}}]), "spec.volumes[0].nfs"),
        (pod(volumes=[{"name": "v", "projected": {"sources": []}}]), "spec.volumes[0].projected"),
        (pod(securityContext={"seccompProfile": {"type": "Localhost"}}), "spec.securityContext.seccompProfile"),
        (pod(securityContext={"runAsNonRoot": True}), f"{C}.securityContext.runAsUser"),
        (container(securityContext={"runAsNonRoot": True}), f"{C}.securityContext.runAsUser"),
        (container(securityContext={"procMount": "Unmasked"}), f"{C}.securityContext.procMount"),
        (container(securityContext={"appArmorProfile": {"type": "Localhost"}}), f"{C}.securityContext.appArmorProfile"),
        (container(livenessProbe={"grpc": {"port": 1}}), f"{C}.livenessProbe.grpc"),
        (container(volumeDevices=[{"name": "d", "devicePath": "/dev/x"}]), f"{C}.volumeDevices"),
        (pod(initContainers=[{"name": "s", "restartPolicy": "Always"}]), "spec.initContainers[0].restartPolicy"),
    ],
)
def test_what_would_be_unsafe_to_ignore_is_refused(spec: dict[str, Any], path: str) -> None:
    assert judged("Pod", spec) == ([], [path])


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (pod(priorityClassName="high"), "spec.priorityClassName"),
        (pod(schedulerName="mine"), "spec.schedulerName"),
        (pod(shareProcessNamespace=True), "spec.shareProcessNamespace"),
        (pod(topologySpreadConstraints=[{"maxSkew": 1}]), "spec.topologySpreadConstraints"),
        (pod(affinity={"podAntiAffinity": {}}), None),
        (container(ports=[{"containerPort": 1}, {"containerPort": 80, "hostPort": 80}]), f"{C}.ports[1].hostPort"),
        (container(terminationMessagePath="/x"), f"{C}.terminationMessagePath"),
        (container(securityContext={"seccompProfile": {"type": "Unconfined"}}), f"{C}.securityContext.seccompProfile"),
    ],
)
def test_what_has_no_effect_is_named_in_a_warning(spec: dict[str, Any], path: str | None) -> None:
    assert judged("Pod", spec) == ([path] if path else [], [])


@pytest.mark.parametrize(
    "spec",
    [
        pod(),
        pod(hostPID=False, hostUsers=True, os={"name": "linux"}, dnsPolicy="Default", hostname="h"),
        pod(securityContext={"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}),
        container(
            securityContext={"readOnlyRootFilesystem": True, "privileged": False, "capabilities": {"drop": ["ALL"]}}
        ),
        pod(
            volumes=[
                {"name": "a", "emptyDir": {}},
                {"name": "b", "hostPath": {"path": "/x"}},
                {"name": "c", "configMap": {"name": "c"}},
                {"name": "d", "secret": {"secretName": "s"}},
            ]
        ),
    ],
)
def test_what_is_run_passes_in_silence(spec: dict[str, Any]) -> None:
    assert judged("Pod", spec) == ([], [])


def test_a_template_is_judged_under_its_own_path_and_the_warning_says_why() -> None:
    template = {"spec": pod(priorityClassName="high", hostPID=True)}
    warnings, refusals = not_run(codec.from_builtins("Deployment", {"spec": {"template": template}}))
    assert warnings == ("spec.template.spec.priorityClassName has no effect on orchestr8: pods have no priorities yet",)
    assert [cause.field for cause in refusals] == ["spec.template.spec.hostPID"]
    assert refusals[0].reason == "FieldValueForbidden"


def test_a_service_is_judged_too() -> None:
    assert judged("Service", {"type": "LoadBalancer", "ports": [{"port": 80}]}) == (["spec.type"], [])
    assert judged("Service", {"ports": [{"port": 80, "protocol": "SCTP"}]}) == ([], ["spec.ports[0].protocol"])
    assert judged("Service", {"ports": [{"port": 80}]}) == ([], [])


def test_every_rule_names_a_field_that_exists() -> None:
    for rules, cls in ((NOT_RUN_POD, PodSpec), (NOT_RUN_SERVICE, ServiceSpec)):
        for rule in rules:
            shape = Shape(form="object", cls=cls)
            for step in rule.path.replace("[]", ".[]").split("."):
                if step == "[]":
                    assert shape.item is not None, rule.path
                    shape = shape.item
                else:
                    assert shape.cls is not None, rule.path
                    shape = fields_of(shape.cls)[step].shape


def test_every_source_of_a_volume_is_mounted_or_refused() -> None:
    refused = {rule.path.removeprefix("volumes[].") for rule in NOT_RUN_POD if rule.path.startswith("volumes[].")}
    mounted = {"name", "emptyDir", "hostPath", "configMap", "secret"}
    assert set(fields_of(Volume)) <= refused | mounted


# Fields of a pod that are carried out. A field in neither list nor table would be dropped in silence.
RUN_POD = {
    "containers",
    "initContainers",
    "volumes",
    "affinity",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostname",
    "nodeName",
    "nodeSelector",
    "os",
    "readinessGates",
    "restartPolicy",
    "schedulingGates",
    "securityContext",
    "serviceAccount",
    "terminationGracePeriodSeconds",
    "tolerations",
}
RUN_CONTAINER = {
    "name",
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "resources",
    "securityContext",
    "startupProbe",
    "stdin",
    "tty",
    "volumeMounts",
    "workingDir",
}


@pytest.mark.parametrize(
    ("cls", "prefix", "run"), [(PodSpec, "", RUN_POD), (Container, "containers[].", RUN_CONTAINER)]
)
def test_every_field_is_run_or_in_the_table(cls: Any, prefix: str, run: set[str]) -> None:
    listed = {
        rule.path.removeprefix(prefix).split(".")[0].split("[")[0]
        for rule in NOT_RUN_POD
        if rule.path.startswith(prefix)
    }
    assert set(fields_of(cls)) == run | (listed & set(fields_of(cls)))
