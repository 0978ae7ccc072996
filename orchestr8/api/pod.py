"""pod"""

from __future__ import annotations

from typing import Annotated, Any

from orchestr8.api.container import (
    AppArmorProfile,
    Capabilities,
    ConfigMapEnvSource,
    ConfigMapKeySelector,
    Container,
    ContainerPort,
    ContainerResizePolicy,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    ExecAction,
    FileKeySelector,
    GRPCAction,
    HTTPGetAction,
    HTTPHeader,
    Lifecycle,
    LifecycleHandler,
    ObjectFieldSelector,
    Probe,
    ResourceClaim,
    ResourceFieldSelector,
    ResourceRequirements,
    SeccompProfile,
    SecretEnvSource,
    SecretKeySelector,
    SecurityContext,
    SELinuxOptions,
    SleepAction,
    TCPSocketAction,
    VolumeDevice,
    VolumeMount,
)
from orchestr8.api.fields import Int32, Int64, Noun, Quantity, about, always, empty
from orchestr8.api.meta import DeleteOptions, LocalObjectReference, Object, ObjectMeta, ObjectReference
from orchestr8.api.placement import (
    Affinity,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    PreferredSchedulingTerm,
    Toleration,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)
from orchestr8.api.pod_status import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    HostIP,
    PodCondition,
    PodIP,
    PodStatus,
)
from orchestr8.api.volumes import (
    ConfigMapVolumeSource,
    EmptyDirVolumeSource,
    HostPathVolumeSource,
    KeyToPath,
    PersistentVolumeClaimVolumeSource,
    SecretVolumeSource,
    Volume,
)

__all__ = [
    "Affinity",
    "AppArmorProfile",
    "Binding",
    "Capabilities",
    "ConfigMapEnvSource",
    "ConfigMapKeySelector",
    "ConfigMapVolumeSource",
    "Container",
    "ContainerPort",
    "ContainerResizePolicy",
    "ContainerState",
    "ContainerStateRunning",
    "ContainerStateTerminated",
    "ContainerStateWaiting",
    "ContainerStatus",
    "EmptyDirVolumeSource",
    "EnvFromSource",
    "EnvVar",
    "EnvVarSource",
    "Eviction",
    "ExecAction",
    "FileKeySelector",
    "GRPCAction",
    "HTTPGetAction",
    "HTTPHeader",
    "HostAlias",
    "HostIP",
    "HostPathVolumeSource",
    "KeyToPath",
    "Lifecycle",
    "LifecycleHandler",
    "NodeAffinity",
    "NodeSelector",
    "NodeSelectorRequirement",
    "NodeSelectorTerm",
    "ObjectFieldSelector",
    "PersistentVolumeClaimVolumeSource",
    "Pod",
    "PodAffinity",
    "PodAffinityTerm",
    "PodAntiAffinity",
    "PodCondition",
    "PodDNSConfig",
    "PodDNSConfigOption",
    "PodIP",
    "PodOS",
    "PodReadinessGate",
    "PodSchedulingGate",
    "PodSecurityContext",
    "PodSpec",
    "PodStatus",
    "PodTemplateSpec",
    "PreferredSchedulingTerm",
    "Probe",
    "ResourceClaim",
    "ResourceFieldSelector",
    "ResourceRequirements",
    "SELinuxOptions",
    "SeccompProfile",
    "SecretEnvSource",
    "SecretKeySelector",
    "SecretVolumeSource",
    "SecurityContext",
    "SleepAction",
    "Sysctl",
    "TCPSocketAction",
    "Toleration",
    "TopologySpreadConstraint",
    "Volume",
    "VolumeDevice",
    "VolumeMount",
    "WeightedPodAffinityTerm",
]


class Sysctl(Noun, frozen=True, kw_only=True):
    """Sysctl."""

    name: Annotated[str, about("")] = always("")
    value: Annotated[str, about("")] = always("")


class PodSecurityContext(Noun, frozen=True, kw_only=True):
    """PodSecurityContext."""

    app_armor_profile: Annotated[AppArmorProfile | None, about("")] = None
    fs_group: Annotated[Int64 | None, about("", zero_matters=True)] = None
    fs_group_change_policy: Annotated[str | None, about("")] = None
    run_as_group: Annotated[Int64 | None, about("", zero_matters=True)] = None
    run_as_non_root: Annotated[bool | None, about("", zero_matters=True)] = None
    run_as_user: Annotated[Int64 | None, about("", zero_matters=True)] = None
    se_linux_change_policy: Annotated[str | None, about("")] = None
    se_linux_options: Annotated[SELinuxOptions | None, about("")] = None
    seccomp_profile: Annotated[SeccompProfile | None, about("")] = None
    supplemental_groups: Annotated[tuple[Int64, ...], about("")] = ()
    supplemental_groups_policy: Annotated[str | None, about("")] = None
    sysctls: Annotated[tuple[Sysctl, ...], about("")] = ()
    windows_options: Annotated[dict[str, Any] | None, about("")] = None


class HostAlias(Noun, frozen=True, kw_only=True):
    """HostAlias."""

    hostnames: Annotated[tuple[str, ...], about("")] = ()
    ip: Annotated[str, about("")] = always("")


class PodDNSConfigOption(Noun, frozen=True, kw_only=True):
    """PodDNSConfigOption."""

    name: Annotated[str | None, about("")] = None
    value: Annotated[str | None, about("", zero_matters=True)] = None


class PodDNSConfig(Noun, frozen=True, kw_only=True):
    """PodDNSConfig."""

    nameservers: Annotated[tuple[str, ...], about("")] = ()
    options: Annotated[tuple[PodDNSConfigOption, ...], about("")] = ()
    searches: Annotated[tuple[str, ...], about("")] = ()


class PodOS(Noun, frozen=True, kw_only=True):
    """PodOS."""

    name: Annotated[str, about("")] = always("")


class PodReadinessGate(Noun, frozen=True, kw_only=True):
    """PodReadinessGate."""

    condition_type: Annotated[str, about("")] = always("")


class PodSchedulingGate(Noun, frozen=True, kw_only=True):
    """PodSchedulingGate."""

    name: Annotated[str, about("")] = always("")


class PodSpec(Noun, frozen=True, kw_only=True):
    """PodSpec."""

    active_deadline_seconds: Annotated[Int64 | None, about("", zero_matters=True)] = None
    affinity: Annotated[Affinity | None, about("")] = None
    automount_service_account_token: Annotated[bool | None, about("", zero_matters=True)] = None
    containers: Annotated[tuple[Container, ...], about("", merge_key="name")] = always(())
    dns_config: Annotated[PodDNSConfig | None, about("")] = None
    dns_policy: Annotated[str | None, about("")] = None
    enable_service_links: Annotated[bool | None, about("", zero_matters=True)] = None
    ephemeral_containers: Annotated[tuple[dict[str, Any], ...], about("", merge_key="name")] = ()
    eviction_responders: Annotated[tuple[dict[str, Any], ...], about("", merge_key="name")] = ()
    host_aliases: Annotated[tuple[HostAlias, ...], about("", merge_key="ip")] = ()
    host_ipc: Annotated[bool | None, about("")] = None
    host_network: Annotated[bool | None, about("")] = None
    host_pid: Annotated[bool | None, about("")] = None
    host_users: Annotated[bool | None, about("", zero_matters=True)] = None
    hostname: Annotated[str | None, about("")] = None
    hostname_override: Annotated[str | None, about("", zero_matters=True)] = None
    image_pull_secrets: Annotated[tuple[LocalObjectReference, ...], about("", merge_key="name")] = ()
    init_containers: Annotated[tuple[Container, ...], about("", merge_key="name")] = ()
    node_name: Annotated[str | None, about("")] = None
    node_selector: Annotated[dict[str, str], about("", atomic=True)] = {}
    os: Annotated[PodOS | None, about("")] = None
    overhead: Annotated[dict[str, Quantity], about("")] = {}
    preemption_policy: Annotated[str | None, about("", zero_matters=True)] = None
    priority: Annotated[Int32 | None, about("", zero_matters=True)] = None
    priority_class_name: Annotated[str | None, about("")] = None
    readiness_gates: Annotated[tuple[PodReadinessGate, ...], about("")] = ()
    resource_claims: Annotated[
        tuple[dict[str, Any], ...], about("", merge_key="name", strategy="merge,retainKeys")
    ] = ()
    resources: Annotated[ResourceRequirements | None, about("")] = None
    restart_policy: Annotated[str | None, about("")] = None
    runtime_class_name: Annotated[str | None, about("", zero_matters=True)] = None
    scheduler_name: Annotated[str | None, about("")] = None
    scheduling_gates: Annotated[tuple[PodSchedulingGate, ...], about("", merge_key="name")] = ()
    scheduling_group: Annotated[dict[str, Any] | None, about("")] = None
    security_context: Annotated[PodSecurityContext | None, about("")] = None
    service_account: Annotated[str | None, about("")] = None
    service_account_name: Annotated[str | None, about("")] = None
    set_hostname_as_fqdn: Annotated[bool | None, about("", zero_matters=True)] = None
    share_process_namespace: Annotated[bool | None, about("", zero_matters=True)] = None
    subdomain: Annotated[str | None, about("")] = None
    termination_grace_period_seconds: Annotated[Int64 | None, about("", zero_matters=True)] = None
    tolerations: Annotated[tuple[Toleration, ...], about("")] = ()
    topology_spread_constraints: Annotated[
        tuple[TopologySpreadConstraint, ...],
        about("", merge_key="topologyKey", map_keys=("topologyKey", "whenUnsatisfiable")),
    ] = ()
    volumes: Annotated[tuple[Volume, ...], about("", merge_key="name", strategy="merge,retainKeys")] = ()


class PodTemplateSpec(Noun, frozen=True, kw_only=True):
    """PodTemplateSpec."""

    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    spec: Annotated[PodSpec, about("")] = empty(PodSpec)


class Pod(Object, frozen=True, kw_only=True):
    """Pod."""

    api_version: str = always("v1")
    kind: str = always("Pod")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    spec: Annotated[PodSpec, about("")] = empty(PodSpec)
    status: Annotated[PodStatus, about("")] = empty(PodStatus)


class Binding(Object, frozen=True, kw_only=True):
    """Binding."""

    api_version: str = always("v1")
    kind: str = always("Binding")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    target: Annotated[ObjectReference, about("")] = empty(ObjectReference)


class Eviction(Object, frozen=True, kw_only=True):
    """Eviction."""

    api_version: str = always("policy/v1")
    kind: str = always("Eviction")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    delete_options: Annotated[DeleteOptions | None, about("")] = None
