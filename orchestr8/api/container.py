"""One container of a pod: image, command, environment, ports, resources, probes, hooks, mounts, security.

Import these through ``api.pod``. Source: the Kubernetes API reference, "Pod", section Container.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from orchestr8.api.fields import Int32, Int64, IntOrString, Noun, Quantity, about, always


class ObjectFieldSelector(Noun, frozen=True, kw_only=True):
    """Names a field of the pod."""

    ATOMIC: ClassVar[bool] = True

    api_version: Annotated[str | None, about("Group and version of the object's schema.")] = None
    field_path: Annotated[str, about("Path of the field, such as metadata.name or status.podIP.")] = always("")


class ResourceFieldSelector(Noun, frozen=True, kw_only=True):
    """Names a resource limit or request of a container."""

    ATOMIC: ClassVar[bool] = True

    container_name: Annotated[str | None, about("Container whose resource is meant; the same one unless set.")] = None
    divisor: Annotated[Quantity | None, about("Unit of the result; 1 unless set.")] = None
    resource: Annotated[str, about("Which one, such as limits.cpu.")] = always("")


class ConfigMapKeySelector(Noun, frozen=True, kw_only=True):
    """Names one entry of a ConfigMap."""

    ATOMIC: ClassVar[bool] = True

    key: Annotated[str, about("Key of the entry.")] = always("")
    name: Annotated[str | None, about("Name of the ConfigMap.")] = None
    optional: Annotated[bool | None, about("Whether it may be missing.", zero_matters=True)] = None


class SecretKeySelector(Noun, frozen=True, kw_only=True):
    """Names one entry of a Secret."""

    ATOMIC: ClassVar[bool] = True

    key: Annotated[str, about("Key of the entry.")] = always("")
    name: Annotated[str | None, about("Name of the Secret.")] = None
    optional: Annotated[bool | None, about("Whether it may be missing.", zero_matters=True)] = None


class FileKeySelector(Noun, frozen=True, kw_only=True):
    """Names one variable in a file of a volume."""

    ATOMIC: ClassVar[bool] = True

    key: Annotated[str, about("Name of the variable in the file.")] = always("")
    optional: Annotated[bool | None, about("Whether it may be missing.", zero_matters=True)] = None
    path: Annotated[str, about("Path of the file in the volume.")] = always("")
    volume_name: Annotated[str, about("Name of the volume.")] = always("")


class EnvVarSource(Noun, frozen=True, kw_only=True):
    """Where the value of an environment variable comes from."""

    config_map_key_ref: Annotated[ConfigMapKeySelector | None, about("An entry of a ConfigMap.")] = None
    field_ref: Annotated[ObjectFieldSelector | None, about("A field of the pod.")] = None
    file_key_ref: Annotated[FileKeySelector | None, about("A variable in a file.")] = None
    resource_field_ref: Annotated[ResourceFieldSelector | None, about("A resource of a container.")] = None
    secret_key_ref: Annotated[SecretKeySelector | None, about("An entry of a Secret.")] = None


class EnvVar(Noun, frozen=True, kw_only=True):
    """An environment variable of a container."""

    name: Annotated[str, about("Name of the variable.")] = always("")
    value: Annotated[str | None, about("Value; $(NAME) stands for another variable.")] = None
    value_from: Annotated[EnvVarSource | None, about("Where the value comes from, instead of value.")] = None


class ConfigMapEnvSource(Noun, frozen=True, kw_only=True):
    """A ConfigMap all of whose entries become environment variables."""

    name: Annotated[str | None, about("Name of the ConfigMap.")] = None
    optional: Annotated[bool | None, about("Whether it may be missing.", zero_matters=True)] = None


class SecretEnvSource(Noun, frozen=True, kw_only=True):
    """A Secret all of whose entries become environment variables."""

    name: Annotated[str | None, about("Name of the Secret.")] = None
    optional: Annotated[bool | None, about("Whether it may be missing.", zero_matters=True)] = None


class EnvFromSource(Noun, frozen=True, kw_only=True):
    """A source of many environment variables."""

    config_map_ref: Annotated[ConfigMapEnvSource | None, about("A ConfigMap.")] = None
    prefix: Annotated[str | None, about("Text put before every name.")] = None
    secret_ref: Annotated[SecretEnvSource | None, about("A Secret.")] = None


class ContainerPort(Noun, frozen=True, kw_only=True):
    """A port on which a container listens."""

    container_port: Annotated[Int32, about("Port number inside the pod.")] = always(0)
    host_ip: Annotated[str | None, about("Address of the node to take the port on.")] = None
    host_port: Annotated[Int32 | None, about("Port of the node that leads to this one.")] = None
    name: Annotated[str | None, about("Name by which Services and probes may refer to the port.")] = None
    protocol: Annotated[str | None, about("TCP, UDP or SCTP.")] = None


class ResourceClaim(Noun, frozen=True, kw_only=True):
    """Names a device claim of the pod that a container uses."""

    name: Annotated[str, about("Name, unique in its place.")] = always("")
    request: Annotated[str | None, about("Which request of the claim.")] = None


class ResourceRequirements(Noun, frozen=True, kw_only=True):
    """How much of each resource a container asks for, and how much it may use."""

    claims: Annotated[
        tuple[ResourceClaim, ...], about("Device claims that the container uses.", map_keys=("name",))
    ] = ()
    limits: Annotated[dict[str, Quantity], about("The most that may be used of each resource.")] = {}
    requests: Annotated[dict[str, Quantity], about("What is set aside of each resource.")] = {}


class ContainerResizePolicy(Noun, frozen=True, kw_only=True):
    """What a change of one resource does to a running container."""

    resource_name: Annotated[str, about("Name of the resource.")] = always("")
    restart_policy: Annotated[str, about("NotRequired or RestartContainer.")] = always("")


class ExecAction(Noun, frozen=True, kw_only=True):
    """Runs a command in the container; exit code 0 is success."""

    command: Annotated[tuple[str, ...], about("Command and arguments; it is not run by a shell.")] = ()


class HTTPHeader(Noun, frozen=True, kw_only=True):
    """A header of a probe's request."""

    name: Annotated[str, about("Name of the header.")] = always("")
    value: Annotated[str, about("Value of the header.")] = always("")


class HTTPGetAction(Noun, frozen=True, kw_only=True):
    """Sends an HTTP GET; any status from 200 to 399 is success."""

    host: Annotated[str | None, about("Host to connect to; the pod itself unless set.")] = None
    http_headers: Annotated[tuple[HTTPHeader, ...], about("Headers of the request.")] = ()
    path: Annotated[str | None, about("Path.")] = None
    port: Annotated[IntOrString, about("Port number, or for a probe also the name of a container's port.")] = always(0)
    protocol: Annotated[str | None, about("Version of HTTP to speak.")] = None
    scheme: Annotated[str | None, about("HTTP or HTTPS.")] = None


class TCPSocketAction(Noun, frozen=True, kw_only=True):
    """Opens a TCP connection; an open one is success."""

    host: Annotated[str | None, about("Host to connect to; the pod itself unless set.")] = None
    port: Annotated[IntOrString, about("Port number, or for a probe also the name of a container's port.")] = always(0)


class GRPCAction(Noun, frozen=True, kw_only=True):
    """Asks the gRPC health service."""

    mode: Annotated[str | None, about("How the connection is made.", zero_matters=True)] = None
    port: Annotated[Int32, about("Port number, or for a probe also the name of a container's port.")] = always(0)
    service: Annotated[str | None, about("Name of the service to ask for.", zero_matters=True)] = None


class SleepAction(Noun, frozen=True, kw_only=True):
    """Waits."""

    seconds: Annotated[Int64, about("How many seconds.")] = always(0)


class Probe(Noun, frozen=True, kw_only=True):
    """A check of a container that is repeated as long as it runs."""

    exec: Annotated[ExecAction | None, about("Runs a command in the container.")] = None
    failure_threshold: Annotated[
        Int32 | None, about("After how many failures in a row the check has failed; 3 unless set.")
    ] = None
    grpc: Annotated[GRPCAction | None, about("Asks the gRPC health service.")] = None
    http_get: Annotated[HTTPGetAction | None, about("Sends an HTTP GET to the container.")] = None
    initial_delay_seconds: Annotated[Int32 | None, about("Seconds after the start until the first check.")] = None
    period_seconds: Annotated[Int32 | None, about("Seconds from check to check; 10 unless set.")] = None
    success_threshold: Annotated[
        Int32 | None, about("After how many successes in a row the check has passed again; 1 unless set.")
    ] = None
    tcp_socket: Annotated[TCPSocketAction | None, about("Opens a TCP connection to the container.")] = None
    termination_grace_period_seconds: Annotated[
        Int64 | None, about("Seconds to end after this check has failed; the pod's unless set.", zero_matters=True)
    ] = None
    timeout_seconds: Annotated[Int32 | None, about("Seconds after which a check counts as failed; 1 unless set.")] = (
        None
    )


class LifecycleHandler(Noun, frozen=True, kw_only=True):
    """What to do at one moment of a container's life."""

    exec: Annotated[ExecAction | None, about("Runs a command in the container.")] = None
    http_get: Annotated[HTTPGetAction | None, about("Sends an HTTP GET to the container.")] = None
    sleep: Annotated[SleepAction | None, about("Waits.")] = None
    tcp_socket: Annotated[TCPSocketAction | None, about("Opens a TCP connection to the container.")] = None


class Lifecycle(Noun, frozen=True, kw_only=True):
    """Hooks around the start and the stop of a container."""

    post_start: Annotated[LifecycleHandler | None, about("Right after the container has started.")] = None
    pre_stop: Annotated[
        LifecycleHandler | None, about("Before the container is stopped; counts against the grace period.")
    ] = None
    stop_signal: Annotated[str | None, about("Signal that stops the container.", zero_matters=True)] = None


class Capabilities(Noun, frozen=True, kw_only=True):
    """Linux capabilities to add to the default set or to take away."""

    add: Annotated[tuple[str, ...], about("Capabilities to add.")] = ()
    drop: Annotated[tuple[str, ...], about("Capabilities to take away.")] = ()


class SELinuxOptions(Noun, frozen=True, kw_only=True):
    """The SELinux label of a container."""

    level: Annotated[str | None, about("SELinux level.")] = None
    role: Annotated[str | None, about("SELinux role.")] = None
    type: Annotated[str | None, about("SELinux type.")] = None
    user: Annotated[str | None, about("SELinux user.")] = None


class SeccompProfile(Noun, frozen=True, kw_only=True):
    """Which system calls a container may make."""

    type: Annotated[str, about("RuntimeDefault, Unconfined or Localhost.")] = always("")
    localhost_profile: Annotated[str | None, about("Profile on the node, for type Localhost.")] = None


class AppArmorProfile(Noun, frozen=True, kw_only=True):
    """Which AppArmor profile confines a container."""

    type: Annotated[str, about("RuntimeDefault, Unconfined or Localhost.")] = always("")
    localhost_profile: Annotated[str | None, about("Profile on the node, for type Localhost.")] = None


class SecurityContext(Noun, frozen=True, kw_only=True):
    """Privileges of one container; what is set here wins over the pod's."""

    allow_privilege_escalation: Annotated[
        bool | None, about("Whether a process may gain more privileges than its parent.", zero_matters=True)
    ] = None
    app_armor_profile: Annotated[AppArmorProfile | None, about("AppArmor profile.")] = None
    capabilities: Annotated[Capabilities | None, about("Linux capabilities.")] = None
    privileged: Annotated[
        bool | None, about("Whether the container may do nearly all that the node's root may.", zero_matters=True)
    ] = None
    proc_mount: Annotated[str | None, about("How much of /proc is masked: Default or Unmasked.", zero_matters=True)] = (
        None
    )
    read_only_root_filesystem: Annotated[
        bool | None, about("Whether the container's own file system cannot be written to.", zero_matters=True)
    ] = None
    run_as_group: Annotated[Int64 | None, about("Numeric group of the processes.", zero_matters=True)] = None
    run_as_non_root: Annotated[bool | None, about("Refuse to run as user 0.", zero_matters=True)] = None
    run_as_user: Annotated[
        Int64 | None, about("Numeric user of the processes; the image's unless set.", zero_matters=True)
    ] = None
    se_linux_options: Annotated[SELinuxOptions | None, about("SELinux label.")] = None
    seccomp_profile: Annotated[SeccompProfile | None, about("Allowed system calls.")] = None
    windows_options: Annotated[dict[str, Any] | None, about("Settings for Windows containers.")] = None


class VolumeMount(Noun, frozen=True, kw_only=True):
    """Where a volume of the pod appears in a container."""

    name: Annotated[str, about("Name of a volume of the pod.")] = always("")
    bind_mount_options: Annotated[tuple[str, ...], about("Further options of the mount.", list_type="set")] = ()
    mount_path: Annotated[str, about("Where the volume appears in the container.")] = always("")
    mount_propagation: Annotated[str | None, about("Whether later mounts are passed on.")] = None
    read_only: Annotated[bool | None, about("Whether writing is impossible.")] = None
    recursive_read_only: Annotated[str | None, about("Whether read-only covers mounts below as well.")] = None
    sub_path: Annotated[str | None, about("Path in the volume to mount, instead of its root.")] = None
    sub_path_expr: Annotated[str | None, about("Like subPath, with $(NAME) for environment variables.")] = None


class VolumeDevice(Noun, frozen=True, kw_only=True):
    """Where a raw block device appears in a container."""

    name: Annotated[str, about("Name of a volume of the pod.")] = always("")
    device_path: Annotated[str, about("Where the device appears in the container.")] = always("")


class Container(Noun, frozen=True, kw_only=True):
    """One container of a pod."""

    name: Annotated[str, about("Name of the container, unique in the pod.")] = always("")
    args: Annotated[tuple[str, ...], about("Arguments of the command; replaces those of the image.")] = ()
    command: Annotated[tuple[str, ...], about("Replaces the entry point of the image.")] = ()
    env: Annotated[tuple[EnvVar, ...], about("Environment variables; they win over envFrom.", merge_key="name")] = ()
    env_from: Annotated[tuple[EnvFromSource, ...], about("Sources of many environment variables.")] = ()
    image: Annotated[str | None, about("Image to run, such as registry.example/web:1.2.")] = None
    image_pull_policy: Annotated[
        str | None, about("When the image is pulled: Always, IfNotPresent or Never; by its tag unless set.")
    ] = None
    lifecycle: Annotated[Lifecycle | None, about("Hooks around start and stop.")] = None
    liveness_probe: Annotated[Probe | None, about("When this check fails, the container is started again.")] = None
    ports: Annotated[
        tuple[ContainerPort, ...],
        about(
            "Ports on which the container listens.", merge_key="containerPort", map_keys=("containerPort", "protocol")
        ),
    ] = ()
    readiness_probe: Annotated[
        Probe | None, about("While this check fails, the pod gets no traffic from Services.")
    ] = None
    resize_policy: Annotated[
        tuple[ContainerResizePolicy, ...], about("What a change of resources does to the running container.")
    ] = ()
    resources: Annotated[ResourceRequirements | None, about("Requests and limits, such as cpu and memory.")] = None
    restart_policy: Annotated[
        str | None, about("Always makes an init container a sidecar that keeps running.", zero_matters=True)
    ] = None
    restart_policy_rules: Annotated[
        tuple[dict[str, Any], ...], about("Exceptions from restartPolicy by exit code.")
    ] = ()
    security_context: Annotated[SecurityContext | None, about("Privileges and confinement.")] = None
    startup_probe: Annotated[Probe | None, about("Until this check has passed, the other checks wait.")] = None
    stdin: Annotated[bool | None, about("Whether standard input is kept open.")] = None
    stdin_once: Annotated[bool | None, about("Whether standard input closes after the first client.")] = None
    termination_message_path: Annotated[
        str | None, about("File whose content becomes the message when the container ends.")
    ] = None
    termination_message_policy: Annotated[str | None, about("File, or FallbackToLogsOnError.")] = None
    tty: Annotated[bool | None, about("Whether the container gets a terminal.")] = None
    volume_devices: Annotated[tuple[VolumeDevice, ...], about("Raw block devices.", merge_key="devicePath")] = ()
    volume_mounts: Annotated[
        tuple[VolumeMount, ...], about("Volumes of the pod that the container sees.", merge_key="mountPath")
    ] = ()
    working_dir: Annotated[str | None, about("Working folder; the image's unless set.")] = None
