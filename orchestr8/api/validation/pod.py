"""Rules of pods and pod templates. Of a pod that exists hardly anything may change: replace it instead."""

from __future__ import annotations

import msgspec

from orchestr8.api.pod import Container, Pod, PodSpec, PodTemplateSpec
from orchestr8.api.validation import syntax
from orchestr8.api.validation.complaints import Complaints
from orchestr8.api.validation.container import check_container, check_ids, check_resources
from orchestr8.api.validation.meta import check_metadata
from orchestr8.api.validation.placement import check_placement
from orchestr8.api.validation.volumes import check_volumes

_MUTABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def check_pod(complaints: Complaints, pod: Pod) -> None:
    check_pod_spec(complaints, pod.spec, "spec")
    if pod.spec.ephemeral_containers:
        complaints.forbidden("spec.ephemeralContainers", "cannot be set on create")


def check_template(complaints: Complaints, template: PodTemplateSpec, path: str) -> None:
    check_metadata(complaints, template.metadata, f"{path}.metadata", namespaced=None, name_syntax=syntax.subdomain)
    check_pod_spec(complaints, template.spec, f"{path}.spec")
    if template.spec.ephemeral_containers:
        complaints.forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def check_pod_spec(complaints: Complaints, spec: PodSpec, path: str) -> None:
    check_volumes(complaints, spec.volumes, f"{path}.volumes")
    _check_containers(complaints, spec, path)
    complaints.one_of(f"{path}.restartPolicy", spec.restart_policy, ("Always", "OnFailure", "Never"), optional=False)
    complaints.at_least(f"{path}.terminationGracePeriodSeconds", spec.termination_grace_period_seconds, 0)
    complaints.at_least(f"{path}.activeDeadlineSeconds", spec.active_deadline_seconds, 1)
    _check_names(complaints, spec, path)
    _check_dns(complaints, spec, path)
    check_placement(complaints, spec, path)
    if spec.resources is not None:
        check_resources(complaints, spec.resources, f"{path}.resources")
    context = spec.security_context
    if context is not None:
        here = f"{path}.securityContext"
        check_ids(
            complaints, here, runAsUser=context.run_as_user, runAsGroup=context.run_as_group, fsGroup=context.fs_group
        )
        for index, group in enumerate(context.supplemental_groups):
            check_ids(complaints, here, **{f"supplementalGroups[{index}]": group})
    for index, gate in enumerate(spec.scheduling_gates):
        if problem := syntax.qualified_name(gate.name):
            complaints.invalid(f"{path}.schedulingGates[{index}].name", gate.name, problem)
    for index, readiness in enumerate(spec.readiness_gates):
        if problem := syntax.qualified_name(readiness.condition_type):
            complaints.invalid(f"{path}.readinessGates[{index}].conditionType", readiness.condition_type, problem)


def _check_containers(complaints: Complaints, spec: PodSpec, path: str) -> None:
    if not spec.containers:
        complaints.required(f"{path}.containers")
    volumes = {volume.name for volume in spec.volumes}
    names: set[str] = set()
    host_ports: set[tuple[str, str, int]] = set()
    for field, containers in (("initContainers", spec.init_containers), ("containers", spec.containers)):
        for index, container in enumerate(containers):
            here = f"{path}.{field}[{index}]"
            check_container(complaints, container, here, volumes)
            if container.name and container.name in names:
                complaints.duplicate(f"{here}.name", container.name)
            names.add(container.name)
            _check_host_ports(complaints, container, here, bool(spec.host_network), host_ports)
            if field == "initContainers":
                _check_init(complaints, container, here)


def _check_host_ports(
    complaints: Complaints, container: Container, path: str, on_host: bool, taken: set[tuple[str, str, int]]
) -> None:
    for index, port in enumerate(container.ports):
        if not port.host_port:
            continue
        here = f"{path}.ports[{index}].hostPort"
        if on_host and port.host_port != port.container_port:
            complaints.invalid(here, port.host_port, "must match `containerPort` when `hostNetwork` is true")
        claim = (port.protocol or "TCP", port.host_ip or "", port.host_port)
        if claim in taken:
            complaints.duplicate(here, port.host_port)
        taken.add(claim)


def _check_init(complaints: Complaints, container: Container, path: str) -> None:
    complaints.one_of(f"{path}.restartPolicy", container.restart_policy, ("Always", "OnFailure", "Never"))
    if container.restart_policy == "Always":  # a sidecar, which may have all of these
        return
    for name, value in (
        ("lifecycle", container.lifecycle),
        ("livenessProbe", container.liveness_probe),
        ("readinessProbe", container.readiness_probe),
        ("startupProbe", container.startup_probe),
    ):
        if value is not None:
            complaints.forbidden(f"{path}.{name}", "may not be set for init containers without restartPolicy=Always")


def _check_names(complaints: Complaints, spec: PodSpec, path: str) -> None:
    for field, name, check in (
        ("nodeName", spec.node_name, syntax.subdomain),
        ("serviceAccountName", spec.service_account_name, syntax.subdomain),
        ("priorityClassName", spec.priority_class_name, syntax.subdomain),
        ("runtimeClassName", spec.runtime_class_name, syntax.subdomain),
        ("hostname", spec.hostname, syntax.label),
        ("subdomain", spec.subdomain, syntax.label),
    ):
        if name and (problem := check(name)):
            complaints.invalid(f"{path}.{field}", name, problem)
    for index, reference in enumerate(spec.image_pull_secrets):
        if not reference.name:
            complaints.required(f"{path}.imagePullSecrets[{index}].name")
    for index, alias in enumerate(spec.host_aliases):
        here = f"{path}.hostAliases[{index}]"
        if problem := syntax.address(alias.ip):
            complaints.invalid(f"{here}.ip", alias.ip, problem)
        for position, hostname in enumerate(alias.hostnames):
            if problem := syntax.subdomain(hostname):
                complaints.invalid(f"{here}.hostnames[{position}]", hostname, problem)


def _check_dns(complaints: Complaints, spec: PodSpec, path: str) -> None:
    policies = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
    complaints.one_of(f"{path}.dnsPolicy", spec.dns_policy, policies)
    config = spec.dns_config
    if spec.dns_policy == "None" and (config is None or not config.nameservers):
        complaints.required(
            f"{path}.dnsConfig.nameservers", "must provide at least one nameserver when dnsPolicy is None"
        )
    if config is None:
        return
    if len(config.nameservers) > 3:
        complaints.invalid(f"{path}.dnsConfig.nameservers", list(config.nameservers), "must not have more than 3")
    for index, server in enumerate(config.nameservers):
        if problem := syntax.address(server):
            complaints.invalid(f"{path}.dnsConfig.nameservers[{index}]", server, problem)


def check_pod_update(complaints: Complaints, old: Pod, new: Pod) -> None:
    _check_deadline_update(complaints, old.spec.active_deadline_seconds, new.spec.active_deadline_seconds)
    kept = [msgspec.structs.replace(toleration, toleration_seconds=None) for toleration in new.spec.tolerations]
    if any(
        msgspec.structs.replace(toleration, toleration_seconds=None) not in kept for toleration in old.spec.tolerations
    ):
        complaints.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    if not set(new.spec.scheduling_gates) <= set(old.spec.scheduling_gates):
        complaints.forbidden("spec.schedulingGates", "only deletion is allowed")
    if _with_mutable_parts_of(old.spec, new.spec) != old.spec:
        complaints.forbidden("spec", f"pod updates may not change fields other than {_MUTABLE}")


def _check_deadline_update(complaints: Complaints, old: int | None, new: int | None) -> None:
    path = "spec.activeDeadlineSeconds"
    if new is None and old is not None:
        complaints.invalid(path, new, "must not update from a positive integer to nil value")
    elif new is not None and old is not None and new > old:
        complaints.invalid(path, new, f"must be less than or equal to previous value {old}")


def _with_mutable_parts_of(old: PodSpec, new: PodSpec) -> PodSpec:
    """``new`` with all that may change taken from ``old``."""
    return msgspec.structs.replace(
        new,
        containers=_with_images_of(old.containers, new.containers),
        init_containers=_with_images_of(old.init_containers, new.init_containers),
        active_deadline_seconds=old.active_deadline_seconds,
        tolerations=old.tolerations,
        scheduling_gates=old.scheduling_gates,
    )


def _with_images_of(old: tuple[Container, ...], new: tuple[Container, ...]) -> tuple[Container, ...]:
    if len(old) != len(new):
        return new
    return tuple(msgspec.structs.replace(after, image=before.image) for before, after in zip(old, new, strict=True))
