"""container"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from orchestr8.api.fields import Int32, Int64, IntOrString, Noun, Quantity, about, always


class ObjectFieldSelector(Noun, frozen=True, kw_only=True):
    """ObjectFieldSelector."""

    ATOMIC: ClassVar[bool] = True

    api_version: Annotated[str | None, about("")] = None
    field_path: Annotated[str, about("")] = always("")


class ResourceFieldSelector(Noun, frozen=True, kw_only=True):
    """ResourceFieldSelector."""

    ATOMIC: ClassVar[bool] = True

    container_name: Annotated[str | None, about("")] = None
    divisor: Annotated[Quantity | None, about("")] = None
    resource: Annotated[str, about("")] = always("")


class ConfigMapKeySelector(Noun, frozen=True, kw_only=True):
    """ConfigMapKeySelector."""

    ATOMIC: ClassVar[bool] = True

    key: Annotated[str, about("")] = always("")
    name: Annotated[str | None, about("")] = None
    optional: Annotated[bool | None, about("", zero_matters=True)] = None


class SecretKeySelector(Noun, frozen=True, kw_only=True):
    """SecretKeySelector."""

    ATOMIC: ClassVar[bool] = True

    key: Annotated[str, about("")] = always("")
    name: Annotated[str | None, about("")] = None
    optional: Annotated[bool | None, about("", zero_matters=True)] = None


class FileKeySelector(Noun, frozen=True, kw_only=True):
    """FileKeySelector."""

    ATOMIC: ClassVar[bool] = True

    key: Annotated[str, about("")] = always("")
    optional: Annotated[bool | None, about("", zero_matters=True)] = None
    path: Annotated[str, about("")] = always("")
    volume_name: Annotated[str, about("")] = always("")


class EnvVarSource(Noun, frozen=True, kw_only=True):
    """EnvVarSource."""

    config_map_key_ref: Annotated[ConfigMapKeySelector | None, about("")] = None
    field_ref: Annotated[ObjectFieldSelector | None, about("")] = None
    file_key_ref: Annotated[FileKeySelector | None, about("")] = None
    resource_field_ref: Annotated[ResourceFieldSelector | None, about("")] = None
    secret_key_ref: Annotated[SecretKeySelector | None, about("")] = None


class EnvVar(Noun, frozen=True, kw_only=True):
    """EnvVar."""

    name: Annotated[str, about("")] = always("")
    value: Annotated[str | None, about("")] = None
    value_from: Annotated[EnvVarSource | None, about("")] = None


class ConfigMapEnvSource(Noun, frozen=True, kw_only=True):
    """ConfigMapEnvSource."""

    name: Annotated[str | None, about("")] = None
    optional: Annotated[bool | None, about("", zero_matters=True)] = None


class SecretEnvSource(Noun, frozen=True, kw_only=True):
    """SecretEnvSource."""

    name: Annotated[str | None, about("")] = None
    optional: Annotated[bool | None, about("", zero_matters=True)] = None


class EnvFromSource(Noun, frozen=True, kw_only=True):
    """EnvFromSource."""

    config_map_ref: Annotated[ConfigMapEnvSource | None, about("")] = None
    prefix: Annotated[str | None, about("")] = None
    secret_ref: Annotated[SecretEnvSource | None, about("")] = None


class ContainerPort(Noun, frozen=True, kw_only=True):
    """ContainerPort."""

    container_port: Annotated[Int32, about("")] = always(0)
    host_ip: Annotated[str | None, about("")] = None
    host_port: Annotated[Int32 | None, about("")] = None
    name: Annotated[str | None, about("")] = None
    protocol: Annotated[str | None, about("")] = None


class ResourceClaim(Noun, frozen=True, kw_only=True):
    """ResourceClaim."""

    name: Annotated[str, about("")] = always("")
    request: Annotated[str | None, about("")] = None


class ResourceRequirements(Noun, frozen=True, kw_only=True):
    """ResourceRequirements."""

    claims: Annotated[tuple[ResourceClaim, ...], about("", map_keys=("name",))] = ()
    limits: Annotated[dict[str, Quantity], about("")] = {}
    requests: Annotated[dict[str, Quantity], about("")] = {}


class ContainerResizePolicy(Noun, frozen=True, kw_only=True):
    """ContainerResizePolicy."""

    resource_name: Annotated[str, about("")] = always("")
    restart_policy: Annotated[str, about("")] = always("")


class ExecAction(Noun, frozen=True, kw_only=True):
    """ExecAction."""

    command: Annotated[tuple[str, ...], about("")] = ()


class HTTPHeader(Noun, frozen=True, kw_only=True):
    """HTTPHeader."""

    name: Annotated[str, about("")] = always("")
    value: Annotated[str, about("")] = always("")


class HTTPGetAction(Noun, frozen=True, kw_only=True):
    """HTTPGetAction."""

    host: Annotated[str | None, about("")] = None
    http_headers: Annotated[tuple[HTTPHeader, ...], about("")] = ()
    path: Annotated[str | None, about("")] = None
    port: Annotated[IntOrString, about("")] = always(0)
    protocol: Annotated[str | None, about("")] = None
    scheme: Annotated[str | None, about("")] = None


class TCPSocketAction(Noun, frozen=True, kw_only=True):
    """TCPSocketAction."""

    host: Annotated[str | None, about("")] = None
    port: Annotated[IntOrString, about("")] = always(0)


class GRPCAction(Noun, frozen=True, kw_only=True):
    """GRPCAction."""

    mode: Annotated[str | None, about("", zero_matters=True)] = None
    port: Annotated[Int32, about("")] = always(0)
    service: Annotated[str | None, about("", zero_matters=True)] = None


class SleepAction(Noun, frozen=True, kw_only=True):
    """SleepAction."""

    seconds: Annotated[Int64, about("")] = always(0)


class Probe(Noun, frozen=True, kw_only=True):
    """Probe."""

    exec: Annotated[ExecAction | None, about("")] = None
    failure_threshold: Annotated[Int32 | None, about("")] = None
    grpc: Annotated[GRPCAction | None, about("")] = None
    http_get: Annotated[HTTPGetAction | None, about("")] = None
    initial_delay_seconds: Annotated[Int32 | None, about("")] = None
    period_seconds: Annotated[Int32 | None, about("")] = None
    success_threshold: Annotated[Int32 | None, about("")] = None
    tcp_socket: Annotated[TCPSocketAction | None, about("")] = None
    termination_grace_period_seconds: Annotated[Int64 | None, about("", zero_matters=True)] = None
    timeout_seconds: Annotated[Int32 | None, about("")] = None


class LifecycleHandler(Noun, frozen=True, kw_only=True):
    """LifecycleHandler."""

    exec: Annotated[ExecAction | None, about("")] = None
    http_get: Annotated[HTTPGetAction | None, about("")] = None
    sleep: Annotated[SleepAction | None, about("")] = None
    tcp_socket: Annotated[TCPSocketAction | None, about("")] = None


class Lifecycle(Noun, frozen=True, kw_only=True):
    """Lifecycle."""

    post_start: Annotated[LifecycleHandler | None, about("")] = None
    pre_stop: Annotated[LifecycleHandler | None, about("")] = None
    stop_signal: Annotated[str | None, about("", zero_matters=True)] = None


class Capabilities(Noun, frozen=True, kw_only=True):
    """Capabilities."""

    add: Annotated[tuple[str, ...], about("")] = ()
    drop: Annotated[tuple[str, ...], about("")] = ()


class SELinuxOptions(Noun, frozen=True, kw_only=True):
    """SELinuxOptions."""

    level: Annotated[str | None, about("")] = None
    role: Annotated[str | None, about("")] = None
    type: Annotated[str | None, about("")] = None
    user: Annotated[str | None, about("")] = None


class SeccompProfile(Noun, frozen=True, kw_only=True):
    """SeccompProfile."""

    type: Annotated[str, about("")] = always("")
    localhost_profile: Annotated[str | None, about("")] = None


class AppArmorProfile(Noun, frozen=True, kw_only=True):
    """AppArmorProfile."""

    type: Annotated[str, about("")] = always("")
    localhost_profile: Annotated[str | None, about("")] = None


class SecurityContext(Noun, frozen=True, kw_only=True):
    """SecurityContext."""

    allow_privilege_escalation: Annotated[bool | None, about("", zero_matters=True)] = None
    app_armor_profile: Annotated[AppArmorProfile | None, about("")] = None
    capabilities: Annotated[Capabilities | None, about("")] = None
    privileged: Annotated[bool | None, about("", zero_matters=True)] = None
    proc_mount: Annotated[str | None, about("", zero_matters=True)] = None
    read_only_root_filesystem: Annotated[bool | None, about("", zero_matters=True)] = None
    run_as_group: Annotated[Int64 | None, about("", zero_matters=True)] = None
    run_as_non_root: Annotated[bool | None, about("", zero_matters=True)] = None
    run_as_user: Annotated[Int64 | None, about("", zero_matters=True)] = None
    se_linux_options: Annotated[SELinuxOptions | None, about("")] = None
    seccomp_profile: Annotated[SeccompProfile | None, about("")] = None
    windows_options: Annotated[dict[str, Any] | None, about("")] = None


class VolumeMount(Noun, frozen=True, kw_only=True):
    """VolumeMount."""

    name: Annotated[str, about("")] = always("")
    bind_mount_options: Annotated[tuple[str, ...], about("", list_type="set")] = ()
    mount_path: Annotated[str, about("")] = always("")
    mount_propagation: Annotated[str | None, about("")] = None
    read_only: Annotated[bool | None, about("")] = None
    recursive_read_only: Annotated[str | None, about("")] = None
    sub_path: Annotated[str | None, about("")] = None
    sub_path_expr: Annotated[str | None, about("")] = None


class VolumeDevice(Noun, frozen=True, kw_only=True):
    """VolumeDevice."""

    name: Annotated[str, about("")] = always("")
    device_path: Annotated[str, about("")] = always("")


class Container(Noun, frozen=True, kw_only=True):
    """Container."""

    name: Annotated[str, about("")] = always("")
    args: Annotated[tuple[str, ...], about("")] = ()
    command: Annotated[tuple[str, ...], about("")] = ()
    env: Annotated[tuple[EnvVar, ...], about("", merge_key="name")] = ()
    env_from: Annotated[tuple[EnvFromSource, ...], about("")] = ()
    image: Annotated[str | None, about("")] = None
    image_pull_policy: Annotated[str | None, about("")] = None
    lifecycle: Annotated[Lifecycle | None, about("")] = None
    liveness_probe: Annotated[Probe | None, about("")] = None
    ports: Annotated[
        tuple[ContainerPort, ...], about("", merge_key="containerPort", map_keys=("containerPort", "protocol"))
    ] = ()
    readiness_probe: Annotated[Probe | None, about("")] = None
    resize_policy: Annotated[tuple[ContainerResizePolicy, ...], about("")] = ()
    resources: Annotated[ResourceRequirements | None, about("")] = None
    restart_policy: Annotated[str | None, about("", zero_matters=True)] = None
    restart_policy_rules: Annotated[tuple[dict[str, Any], ...], about("")] = ()
    security_context: Annotated[SecurityContext | None, about("")] = None
    startup_probe: Annotated[Probe | None, about("")] = None
    stdin: Annotated[bool | None, about("")] = None
    stdin_once: Annotated[bool | None, about("")] = None
    termination_message_path: Annotated[str | None, about("")] = None
    termination_message_policy: Annotated[str | None, about("")] = None
    tty: Annotated[bool | None, about("")] = None
    volume_devices: Annotated[tuple[VolumeDevice, ...], about("", merge_key="devicePath")] = ()
    volume_mounts: Annotated[tuple[VolumeMount, ...], about("", merge_key="mountPath")] = ()
    working_dir: Annotated[str | None, about("")] = None
