"""Pod, its template and its subresources' bodies; all parts of a pod can be imported from here.

Source: the Kubernetes API reference, "Pod".
"""

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
    """A kernel parameter of the pod."""

    name: Annotated[str, about("Name of the parameter.")] = always("")
    value: Annotated[str, about("Value of the parameter.")] = always("")


class PodSecurityContext(Noun, frozen=True, kw_only=True):
    """Privileges of all containers of a pod."""

    app_armor_profile: Annotated[AppArmorProfile | None, about("AppArmor profile.")] = None
    fs_group: Annotated[Int64 | None, about("Group that owns files in volumes.", zero_matters=True)] = None
    fs_group_change_policy: Annotated[str | None, about("When ownership of a volume's files is changed.")] = None
    run_as_group: Annotated[Int64 | None, about("Numeric group of the processes.", zero_matters=True)] = None
    run_as_non_root: Annotated[bool | None, about("Refuse to run as user 0.", zero_matters=True)] = None
    run_as_user: Annotated[
        Int64 | None, about("Numeric user of the processes; the image's unless set.", zero_matters=True)
    ] = None
    se_linux_change_policy: Annotated[str | None, about("How SELinux labels get onto volumes.")] = None
    se_linux_options: Annotated[SELinuxOptions | None, about("SELinux label.")] = None
    seccomp_profile: Annotated[SeccompProfile | None, about("Allowed system calls.")] = None
    supplemental_groups: Annotated[tuple[Int64, ...], about("Further groups of the processes.")] = ()
    supplemental_groups_policy: Annotated[str | None, about("Whether groups of the image count: Merge or Strict.")] = (
        None
    )
    sysctls: Annotated[tuple[Sysctl, ...], about("Kernel parameters.")] = ()
    windows_options: Annotated[dict[str, Any] | None, about("Settings for Windows containers.")] = None


class HostAlias(Noun, frozen=True, kw_only=True):
    """A line of the pod's hosts file."""

    hostnames: Annotated[tuple[str, ...], about("Names for the address.")] = ()
    ip: Annotated[str, about("IP address.")] = always("")


class PodDNSConfigOption(Noun, frozen=True, kw_only=True):
    """An option of the resolver."""

    name: Annotated[str | None, about("Name of the option.")] = None
    value: Annotated[str | None, about("Value of the option.", zero_matters=True)] = None


class PodDNSConfig(Noun, frozen=True, kw_only=True):
    """Settings of the resolver, added to what dnsPolicy gives."""

    nameservers: Annotated[tuple[str, ...], about("Addresses of name servers.")] = ()
    options: Annotated[tuple[PodDNSConfigOption, ...], about("Options of the resolver.")] = ()
    searches: Annotated[tuple[str, ...], about("Search domains.")] = ()


class PodOS(Noun, frozen=True, kw_only=True):
    """The operating system that a pod needs."""

    name: Annotated[str, about("linux or windows.")] = always("")


class PodReadinessGate(Noun, frozen=True, kw_only=True):
    """A condition that somebody else sets and that must hold for the pod to be ready."""

    condition_type: Annotated[str, about("Type of the condition.")] = always("")


class PodSchedulingGate(Noun, frozen=True, kw_only=True):
    """Keeps a pod from being scheduled as long as it is there."""

    name: Annotated[str, about("Name of the gate.")] = always("")


class PodSpec(Noun, frozen=True, kw_only=True):
    """What a pod shall be: its containers and how they run."""

    active_deadline_seconds: Annotated[
        Int64 | None, about("After how many seconds the pod is ended.", zero_matters=True)
    ] = None
    affinity: Annotated[Affinity | None, about("What draws the pod to nodes and pods, or away from them.")] = None
    automount_service_account_token: Annotated[
        bool | None, about("Whether a token is put into the pod.", zero_matters=True)
    ] = None
    containers: Annotated[tuple[Container, ...], about("Containers of the pod; at least one.", merge_key="name")] = (
        always(())
    )
    dns_config: Annotated[PodDNSConfig | None, about("Settings of the resolver.")] = None
    dns_policy: Annotated[str | None, about("ClusterFirst, ClusterFirstWithHostNet, Default or None.")] = None
    enable_service_links: Annotated[
        bool | None, about("Whether Services appear as environment variables.", zero_matters=True)
    ] = None
    ephemeral_containers: Annotated[
        tuple[dict[str, Any], ...], about("Containers added to a running pod for debugging.", merge_key="name")
    ] = ()
    eviction_responders: Annotated[
        tuple[dict[str, Any], ...], about("Who takes part in an eviction.", merge_key="name")
    ] = ()
    host_aliases: Annotated[tuple[HostAlias, ...], about("Lines for the pod's hosts file.", merge_key="ip")] = ()
    host_ipc: Annotated[bool | None, about("Use the node's inter-process communication.")] = None
    host_network: Annotated[bool | None, about("Use the node's network.")] = None
    host_pid: Annotated[bool | None, about("See the node's processes.")] = None
    host_users: Annotated[
        bool | None, about("Use the node's users; false asks for a user namespace.", zero_matters=True)
    ] = None
    hostname: Annotated[str | None, about("Host name of the pod; its name unless set.")] = None
    hostname_override: Annotated[str | None, about("Host name that wins over everything else.", zero_matters=True)] = (
        None
    )
    image_pull_secrets: Annotated[
        tuple[LocalObjectReference, ...], about("Secrets with credentials of registries.", merge_key="name")
    ] = ()
    init_containers: Annotated[
        tuple[Container, ...],
        about("Containers that run to their end, one after the other, before the others start.", merge_key="name"),
    ] = ()
    node_name: Annotated[str | None, about("Node that runs the pod; set once, by the scheduler as a rule.")] = None
    node_selector: Annotated[dict[str, str], about("Labels that the node must have.", atomic=True)] = {}
    os: Annotated[PodOS | None, about("Operating system that the pod needs.")] = None
    overhead: Annotated[dict[str, Quantity], about("Resources the pod needs besides its containers.")] = {}
    preemption_policy: Annotated[str | None, about("Whether the pod may push others away.", zero_matters=True)] = None
    priority: Annotated[Int32 | None, about("How important the pod is.", zero_matters=True)] = None
    priority_class_name: Annotated[str | None, about("Name of a class of importance.")] = None
    readiness_gates: Annotated[tuple[PodReadinessGate, ...], about("Further conditions for the pod to be ready.")] = ()
    resource_claims: Annotated[
        tuple[dict[str, Any], ...], about("Device claims of the pod.", merge_key="name", strategy="merge,retainKeys")
    ] = ()
    resources: Annotated[ResourceRequirements | None, about("Requests and limits of the pod as a whole.")] = None
    restart_policy: Annotated[
        str | None, about("When containers are started again: Always, OnFailure or Never; Always unless set.")
    ] = None
    runtime_class_name: Annotated[str | None, about("Runtime that the pod needs.", zero_matters=True)] = None
    scheduler_name: Annotated[str | None, about("Scheduler that places the pod.")] = None
    scheduling_gates: Annotated[
        tuple[PodSchedulingGate, ...], about("The pod is not scheduled as long as there is one.", merge_key="name")
    ] = ()
    scheduling_group: Annotated[dict[str, Any] | None, about("Group of pods that are placed together.")] = None
    security_context: Annotated[PodSecurityContext | None, about("Privileges and confinement.")] = None
    service_account: Annotated[str | None, about("Older name of serviceAccountName.")] = None
    service_account_name: Annotated[str | None, about("Identity of the pod.")] = None
    set_hostname_as_fqdn: Annotated[
        bool | None, about("Whether the host name is the full domain name.", zero_matters=True)
    ] = None
    share_process_namespace: Annotated[
        bool | None, about("Whether containers see each other's processes.", zero_matters=True)
    ] = None
    subdomain: Annotated[str | None, about("Domain of the pod's host name.")] = None
    termination_grace_period_seconds: Annotated[
        Int64 | None, about("Seconds from SIGTERM to SIGKILL; 30 unless set.", zero_matters=True)
    ] = None
    tolerations: Annotated[tuple[Toleration, ...], about("Taints that the pod tolerates.")] = ()
    topology_spread_constraints: Annotated[
        tuple[TopologySpreadConstraint, ...],
        about("How evenly pods are spread.", merge_key="topologyKey", map_keys=("topologyKey", "whenUnsatisfiable")),
    ] = ()
    volumes: Annotated[
        tuple[Volume, ...], about("Volumes that containers may mount.", merge_key="name", strategy="merge,retainKeys")
    ] = ()


class PodTemplateSpec(Noun, frozen=True, kw_only=True):
    """The pods that a workload makes."""

    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    spec: Annotated[PodSpec, about("What is wanted.")] = empty(PodSpec)


class Pod(Object, frozen=True, kw_only=True):
    """Containers that run together on one node and share its network address."""

    api_version: str = always("v1")
    kind: str = always("Pod")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    spec: Annotated[PodSpec, about("What is wanted.")] = empty(PodSpec)
    status: Annotated[PodStatus, about("What is so; written by the system, not by users.")] = empty(PodStatus)


class Binding(Object, frozen=True, kw_only=True):
    """Puts a pod on a node; posted to the pod's binding subresource."""

    api_version: str = always("v1")
    kind: str = always("Binding")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    target: Annotated[ObjectReference, about("The node.")] = empty(ObjectReference)


class Eviction(Object, frozen=True, kw_only=True):
    """Asks for a pod to leave its node; posted to the pod's eviction subresource."""

    api_version: str = always("policy/v1")
    kind: str = always("Eviction")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    delete_options: Annotated[DeleteOptions | None, about("How the pod is deleted.")] = None
