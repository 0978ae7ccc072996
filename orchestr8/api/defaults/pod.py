"""Defaults of pods and of the pod templates in workloads. Source: the Kubernetes reference page "Pod"."""

from __future__ import annotations

from orchestr8.api.defaults.fill import change, fill
from orchestr8.api.pod import (
    Container,
    ContainerPort,
    EmptyDirVolumeSource,
    EnvVar,
    Lifecycle,
    LifecycleHandler,
    Pod,
    PodSecurityContext,
    PodSpec,
    PodTemplateSpec,
    Probe,
    ResourceRequirements,
    Volume,
)
from orchestr8.api.qos import qos_class

VOLUME_FILE_MODE = 0o644


def default_pod(pod: Pod) -> Pod:
    spec = default_pod_spec(pod.spec)
    spec = change(
        spec,
        containers=tuple(_request_what_is_limited(container) for container in spec.containers),
        init_containers=tuple(_request_what_is_limited(container) for container in spec.init_containers),
    )
    pod = change(pod, spec=spec)
    return change(pod, status=fill(pod.status, phase="Pending", qos_class=qos_class(pod)))


def default_template(template: PodTemplateSpec) -> PodTemplateSpec:
    return change(template, spec=default_pod_spec(template.spec))


def default_pod_spec(spec: PodSpec) -> PodSpec:
    spec = fill(
        spec,
        dns_policy="ClusterFirst",
        restart_policy="Always",
        scheduler_name="default-scheduler",
        security_context=PodSecurityContext(),
        termination_grace_period_seconds=30,
        enable_service_links=True,
        service_account_name=spec.service_account,
    )
    spec = fill(spec, service_account=spec.service_account_name)
    on_host = bool(spec.host_network)
    return change(
        spec,
        containers=tuple(_container(container, on_host) for container in spec.containers),
        init_containers=tuple(_container(container, on_host) for container in spec.init_containers),
        volumes=tuple(_volume(volume) for volume in spec.volumes),
    )


def pull_policy(image: str) -> str:
    """Always for a tag that moves (latest, or none), IfNotPresent for any other tag and for a digest."""
    if "@" in image:
        return "IfNotPresent"
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return "Always" if not colon or tag == "latest" else "IfNotPresent"


def _container(container: Container, on_host: bool) -> Container:
    container = fill(
        container,
        image_pull_policy=pull_policy(container.image or ""),
        termination_message_path="/dev/termination-log",
        termination_message_policy="File",
        resources=ResourceRequirements(),
    )
    return change(
        container,
        ports=tuple(_port(port, on_host) for port in container.ports),
        env=tuple(_env(variable) for variable in container.env),
        liveness_probe=_probe(container.liveness_probe),
        readiness_probe=_probe(container.readiness_probe),
        startup_probe=_probe(container.startup_probe),
        lifecycle=_lifecycle(container.lifecycle),
    )


def _port(port: ContainerPort, on_host: bool) -> ContainerPort:
    port = fill(port, protocol="TCP")
    return fill(port, host_port=port.container_port) if on_host else port


def _env(variable: EnvVar) -> EnvVar:
    source = variable.value_from
    if source is None or source.field_ref is None:
        return variable
    return change(variable, value_from=change(source, field_ref=fill(source.field_ref, api_version="v1")))


def _probe(probe: Probe | None) -> Probe | None:
    if probe is None:
        return None
    probe = fill(probe, timeout_seconds=1, period_seconds=10, success_threshold=1, failure_threshold=3)
    if probe.http_get is not None:
        probe = change(probe, http_get=fill(probe.http_get, path="/", scheme="HTTP"))
    if probe.grpc is not None and probe.grpc.service is None:
        probe = change(probe, grpc=change(probe.grpc, service=""))
    return probe


def _lifecycle(lifecycle: Lifecycle | None) -> Lifecycle | None:
    if lifecycle is None:
        return None
    return change(lifecycle, post_start=_handler(lifecycle.post_start), pre_stop=_handler(lifecycle.pre_stop))


def _handler(handler: LifecycleHandler | None) -> LifecycleHandler | None:
    if handler is None or handler.http_get is None:
        return handler
    return change(handler, http_get=fill(handler.http_get, path="/", scheme="HTTP"))


def _volume(volume: Volume) -> Volume:
    if volume == Volume(name=volume.name):  # no source at all
        return change(volume, empty_dir=EmptyDirVolumeSource())
    if volume.secret is not None:
        volume = change(volume, secret=fill(volume.secret, default_mode=VOLUME_FILE_MODE))
    if volume.config_map is not None:
        volume = change(volume, config_map=fill(volume.config_map, default_mode=VOLUME_FILE_MODE))
    if volume.host_path is not None and volume.host_path.type is None:
        volume = change(volume, host_path=change(volume.host_path, type=""))
    return volume


def _request_what_is_limited(container: Container) -> Container:
    """A pod that limits a resource and does not request it requests the limit (pods only, not templates)."""
    resources = container.resources
    if resources is None or not resources.limits.keys() - resources.requests.keys():
        return container
    return change(container, resources=change(resources, requests={**resources.limits, **resources.requests}))
