"""Rules of one container: image, ports, environment, resources, probes, mounts, security context."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from orchestr8.api import quantity
from orchestr8.api.pod import (
    ConfigMapKeySelector,
    Container,
    ContainerPort,
    EnvFromSource,
    EnvVar,
    ExecAction,
    HTTPGetAction,
    LifecycleHandler,
    Probe,
    ResourceRequirements,
    SecretKeySelector,
    SecurityContext,
    TCPSocketAction,
    VolumeMount,
)
from orchestr8.api.validation import syntax
from orchestr8.api.validation.complaints import Complaints

PROTOCOLS = ("TCP", "UDP", "SCTP")
ID_MAX = 2**31 - 1
# What ``env[].valueFrom.fieldRef`` may ask of a pod.
FIELD_PATHS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_STANDARD_RESOURCES = ("cpu", "memory", "ephemeral-storage")


def check_container(complaints: Complaints, container: Container, path: str, volumes: Collection[str]) -> None:
    """``volumes``: the names of the pod's volumes."""
    if not container.name:
        complaints.required(f"{path}.name")
    elif problem := syntax.label(container.name):
        complaints.invalid(f"{path}.name", container.name, problem)
    if not container.image:
        complaints.required(f"{path}.image")
    elif container.image != container.image.strip():
        complaints.invalid(f"{path}.image", container.image, "must not have leading or trailing whitespace")
    complaints.one_of(f"{path}.imagePullPolicy", container.image_pull_policy, ("Always", "IfNotPresent", "Never"))
    complaints.one_of(
        f"{path}.terminationMessagePolicy", container.termination_message_policy, ("File", "FallbackToLogsOnError")
    )
    _check_ports(complaints, container.ports, f"{path}.ports")
    for index, variable in enumerate(container.env):
        _check_env(complaints, variable, f"{path}.env[{index}]")
    for index, source in enumerate(container.env_from):
        _check_env_from(complaints, source, f"{path}.envFrom[{index}]")
    if container.resources is not None:
        check_resources(complaints, container.resources, f"{path}.resources")
    for name, probe in (
        ("livenessProbe", container.liveness_probe),
        ("readinessProbe", container.readiness_probe),
        ("startupProbe", container.startup_probe),
    ):
        if probe is not None:
            _check_probe(complaints, probe, f"{path}.{name}", container.ports)
            if name != "readinessProbe" and probe.success_threshold not in (None, 1):
                complaints.invalid(f"{path}.{name}.successThreshold", probe.success_threshold, "must be 1")
    if container.lifecycle is not None:
        for name, handler in (("postStart", container.lifecycle.post_start), ("preStop", container.lifecycle.pre_stop)):
            if handler is not None:
                _check_handler(complaints, handler, f"{path}.lifecycle.{name}", container.ports)
    _check_mounts(complaints, container.volume_mounts, f"{path}.volumeMounts", volumes)
    if container.security_context is not None:
        _check_security(complaints, container.security_context, f"{path}.securityContext")


def _check_ports(complaints: Complaints, ports: tuple[ContainerPort, ...], path: str) -> None:
    names: set[str] = set()
    for index, port in enumerate(ports):
        here = f"{path}[{index}]"
        if port.name:
            if problem := syntax.port_name(port.name):
                complaints.invalid(f"{here}.name", port.name, problem)
            elif port.name in names:
                complaints.duplicate(f"{here}.name", port.name)
            names.add(port.name)
        if port.container_port == 0:
            complaints.required(f"{here}.containerPort")
        elif problem := syntax.port(port.container_port):
            complaints.invalid(f"{here}.containerPort", port.container_port, problem)
        if port.host_port and (problem := syntax.port(port.host_port)):
            complaints.invalid(f"{here}.hostPort", port.host_port, problem)
        if port.host_ip and (problem := syntax.address(port.host_ip)):
            complaints.invalid(f"{here}.hostIP", port.host_ip, problem)
        complaints.one_of(f"{here}.protocol", port.protocol, PROTOCOLS)


def _check_env(complaints: Complaints, variable: EnvVar, path: str) -> None:
    if not variable.name:
        complaints.required(f"{path}.name")
    elif problem := syntax.env_name(variable.name):
        complaints.invalid(f"{path}.name", variable.name, problem)
    source = variable.value_from
    if source is None:
        return
    here = f"{path}.valueFrom"
    given = [
        one
        for one in (
            source.field_ref,
            source.config_map_key_ref,
            source.secret_key_ref,
            source.resource_field_ref,
            source.file_key_ref,
        )
        if one is not None
    ]
    if len(given) != 1:
        complaints.invalid(here, "", "must specify exactly one of: fieldRef, configMapKeyRef, secretKeyRef")
    if variable.value:
        complaints.invalid(here, "", "may not be specified when value is not empty")
    if source.field_ref is not None:
        _check_field_path(complaints, source.field_ref.field_path, f"{here}.fieldRef.fieldPath")
    for name, reference in (("configMapKeyRef", source.config_map_key_ref), ("secretKeyRef", source.secret_key_ref)):
        if reference is not None:
            _check_key_reference(complaints, reference, f"{here}.{name}")


def _check_field_path(complaints: Complaints, field_path: str, path: str) -> None:
    if not field_path:
        complaints.required(path)
        return
    for prefix in ("metadata.labels", "metadata.annotations"):
        if field_path.startswith(f"{prefix}['") and field_path.endswith("']"):
            key = field_path.removeprefix(f"{prefix}['").removesuffix("']")
            if problem := syntax.qualified_name(key.lower()):
                complaints.invalid(path, field_path, problem)
            return
    if field_path not in FIELD_PATHS:
        complaints.not_supported(path, field_path, FIELD_PATHS)


def _check_key_reference(
    complaints: Complaints, reference: ConfigMapKeySelector | SecretKeySelector, path: str
) -> None:
    if not reference.name:
        complaints.required(f"{path}.name")
    if not reference.key:
        complaints.required(f"{path}.key")
    elif problem := syntax.data_key(reference.key):
        complaints.invalid(f"{path}.key", reference.key, problem)


def _check_env_from(complaints: Complaints, source: EnvFromSource, path: str) -> None:
    if (source.config_map_ref is None) == (source.secret_ref is None):
        complaints.invalid(path, "", "must specify exactly one of: configMapRef, secretRef")
    if source.prefix and (problem := syntax.env_name(source.prefix)):
        complaints.invalid(f"{path}.prefix", source.prefix, problem)
    for name, reference in (("configMapRef", source.config_map_ref), ("secretRef", source.secret_ref)):
        if reference is not None and not reference.name:
            complaints.required(f"{path}.{name}.name")


def check_resources(complaints: Complaints, resources: ResourceRequirements, path: str) -> None:
    for field, amounts in (("limits", resources.limits), ("requests", resources.requests)):
        check_quantities(complaints, amounts, f"{path}.{field}")
        for name in amounts:
            if "/" not in name and name not in _STANDARD_RESOURCES and not name.startswith("hugepages-"):
                complaints.invalid(f"{path}.{field}[{name}]", name, "must be a standard resource for containers")
    for name, request in resources.requests.items():
        limit = resources.limits.get(name)
        if limit is None or not (quantity.is_valid(limit) and quantity.is_valid(request)):
            continue
        if quantity.parse(request) > quantity.parse(limit):
            complaints.invalid(f"{path}.requests", request, f"must be less than or equal to {name} limit of {limit}")


def check_quantities(complaints: Complaints, amounts: Mapping[str, str], path: str) -> None:
    for name, text in amounts.items():
        if problem := syntax.qualified_name(name):
            complaints.invalid(f"{path}[{name}]", name, problem)
        try:
            value = quantity.parse(text)
        except ValueError as error:
            complaints.invalid(f"{path}[{name}]", text, str(error))
            continue
        if value < 0:
            complaints.invalid(f"{path}[{name}]", text, "must be greater than or equal to 0")


def _check_probe(complaints: Complaints, probe: Probe, path: str, ports: tuple[ContainerPort, ...]) -> None:
    _check_one_action(complaints, probe, path, ports)
    if probe.grpc is not None and (problem := syntax.port(probe.grpc.port)):
        complaints.invalid(f"{path}.grpc.port", probe.grpc.port, problem)
    for name, value in (
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ):
        complaints.at_least(f"{path}.{name}", value, 0)
    grace = probe.termination_grace_period_seconds
    if grace is not None:
        if path.endswith(".readinessProbe"):
            complaints.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must not be set for readiness probes")
        complaints.at_least(f"{path}.terminationGracePeriodSeconds", grace, 1)


def _check_handler(
    complaints: Complaints, handler: LifecycleHandler, path: str, ports: tuple[ContainerPort, ...]
) -> None:
    _check_one_action(complaints, handler, path, ports)
    if handler.sleep is not None:
        complaints.at_least(f"{path}.sleep.seconds", handler.sleep.seconds, 0)


def _check_one_action(
    complaints: Complaints, holder: Probe | LifecycleHandler, path: str, ports: tuple[ContainerPort, ...]
) -> None:
    other = holder.grpc if isinstance(holder, Probe) else holder.sleep
    given = [action for action in (holder.exec, holder.http_get, holder.tcp_socket, other) if action is not None]
    if not given:
        complaints.required(path, "must specify a handler type")
    elif len(given) > 1:
        complaints.forbidden(path, "may not specify more than 1 handler type")
    for action in given:
        match action:
            case ExecAction():
                if not action.command:
                    complaints.required(f"{path}.exec.command")
            case HTTPGetAction():
                _check_http(complaints, action, f"{path}.httpGet", ports)
            case TCPSocketAction():
                _check_port_reference(complaints, action.port, f"{path}.tcpSocket.port", ports)


def _check_http(complaints: Complaints, action: HTTPGetAction, path: str, ports: tuple[ContainerPort, ...]) -> None:
    if not action.path:
        complaints.required(f"{path}.path")
    _check_port_reference(complaints, action.port, f"{path}.port", ports)
    complaints.one_of(f"{path}.scheme", action.scheme, ("HTTP", "HTTPS"))
    for index, header in enumerate(action.http_headers):
        if not header.name or any(character in header.name for character in " \t\r\n:"):
            complaints.invalid(f"{path}.httpHeaders[{index}].name", header.name, "must be a valid HTTP header name")
        if any(character in header.value for character in "\r\n"):
            complaints.invalid(f"{path}.httpHeaders[{index}].value", header.value, "must be one line")


def _check_port_reference(complaints: Complaints, port: int | str, path: str, ports: tuple[ContainerPort, ...]) -> None:
    problem = syntax.port(port) if isinstance(port, int) else syntax.port_name(port)
    if problem:
        complaints.invalid(path, port, problem)
    elif isinstance(port, str) and port not in {named.name for named in ports}:
        complaints.invalid(path, port, "no port of this container has that name")


def _check_mounts(complaints: Complaints, mounts: tuple[VolumeMount, ...], path: str, volumes: Collection[str]) -> None:
    taken: set[str] = set()
    for index, mount in enumerate(mounts):
        here = f"{path}[{index}]"
        if not mount.name:
            complaints.required(f"{here}.name")
        elif mount.name not in volumes:
            complaints.not_found(f"{here}.name", mount.name)
        if not mount.mount_path:
            complaints.required(f"{here}.mountPath")
        elif mount.mount_path in taken:
            complaints.invalid(f"{here}.mountPath", mount.mount_path, "must be unique")
        elif ":" in mount.mount_path:
            complaints.invalid(f"{here}.mountPath", mount.mount_path, "must not contain ':'")
        taken.add(mount.mount_path)
        if mount.sub_path:
            check_inner_path(complaints, mount.sub_path, f"{here}.subPath")
        if mount.sub_path and mount.sub_path_expr:
            complaints.invalid(
                f"{here}.subPathExpr", mount.sub_path_expr, "subPathExpr and subPath are mutually exclusive"
            )
        complaints.one_of(
            f"{here}.mountPropagation", mount.mount_propagation, ("None", "HostToContainer", "Bidirectional")
        )


def check_inner_path(complaints: Complaints, text: str, path: str) -> None:
    """A path that must stay inside a volume."""
    if text.startswith("/"):
        complaints.invalid(path, text, "must be a relative path")
    if ".." in text.split("/"):
        complaints.invalid(path, text, "must not contain '..'")


def check_ids(complaints: Complaints, path: str, **ids: int | None) -> None:
    """User and group numbers, keyed by their JSON name."""
    for name, number in ids.items():
        if number is not None and not 0 <= number <= ID_MAX:
            complaints.invalid(f"{path}.{name}", number, f"must be between 0 and {ID_MAX}, inclusive")


def _check_security(complaints: Complaints, context: SecurityContext, path: str) -> None:
    check_ids(complaints, path, runAsUser=context.run_as_user, runAsGroup=context.run_as_group)
    complaints.one_of(f"{path}.procMount", context.proc_mount, ("Default", "Unmasked"))
    if context.allow_privilege_escalation is False:
        if context.privileged:
            complaints.invalid(path, context, "cannot set allowPrivilegeEscalation to false and privileged to true")
        elif context.capabilities is not None and "SYS_ADMIN" in context.capabilities.add:
            complaints.invalid(
                path, context, "cannot set allowPrivilegeEscalation to false and capabilities.add SYS_ADMIN"
            )
