"""Environment, volumes and specs of containers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.api.config import ConfigMap, Secret
from orchestr8.api.meta import ObjectMeta
from orchestr8.api.pod import (
    ConfigMapEnvSource,
    ConfigMapKeySelector,
    ConfigMapVolumeSource,
    Container,
    EmptyDirVolumeSource,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    HostAlias,
    KeyToPath,
    ObjectFieldSelector,
    Pod,
    PodDNSConfig,
    PodSecurityContext,
    ResourceFieldSelector,
    ResourceRequirements,
    SecretEnvSource,
    SecretKeySelector,
    SecretVolumeSource,
    SecurityContext,
    Volume,
    VolumeMount,
)
from orchestr8.worker.agent.masters.assignments import Assignments
from orchestr8.worker.agent.node.host import VolumeFailed, VolumeFile
from orchestr8.worker.agent.pods import volumes
from orchestr8.worker.agent.pods.environment import ConfigMissing, environment, expand
from orchestr8.worker.agent.pods.images import complete
from orchestr8.worker.agent.pods.spec import container_spec, hosts_file, resolv_conf
from orchestr8.worker.runtime.base import ContainerSpec
from tests.unit.worker.agent.world import container, pod

CONF = ConfigMap(metadata=ObjectMeta(name="conf", namespace="default"), data={"a": "1", "b": "2"})
KEY = Secret(metadata=ObjectMeta(name="key", namespace="default"), data={"token": b"s3cret"})
KNOWN = Assignments(objects={("ConfigMap", "default", "conf"): CONF, ("Secret", "default", "key"): KEY})


def env(*variables: EnvVar, sources: tuple[EnvFromSource, ...] = (), **fields: object) -> dict[str, str]:
    wanted = container(env=variables, env_from=sources, **fields)  # type: ignore[arg-type]
    return environment(
        pod(containers=(wanted,)), wanted, KNOWN, pod_ip="10.0.0.1", node_ip="10.0.0.9", allocatable={"cpu": "4"}
    )


def variable(name: str, **source: object) -> EnvVar:
    return EnvVar(name=name, value_from=EnvVarSource(**source))  # type: ignore[arg-type]


def test_values_config_maps_secrets_and_fields_become_variables() -> None:
    assert env(
        EnvVar(name="PLAIN", value="x"),
        variable("CONF", config_map_key_ref=ConfigMapKeySelector(name="conf", key="a")),
        variable("KEY", secret_key_ref=SecretKeySelector(name="key", key="token")),
        variable("IP", field_ref=ObjectFieldSelector(field_path="status.podIP")),
        variable("NODE", field_ref=ObjectFieldSelector(field_path="spec.nodeName")),
        variable("LABEL", field_ref=ObjectFieldSelector(field_path="metadata.labels['app']")),
    ) == {"PLAIN": "x", "CONF": "1", "KEY": "s3cret", "IP": "10.0.0.1", "NODE": "w1", "LABEL": ""}


def test_whole_config_maps_and_secrets_come_with_a_prefix_and_single_variables_win() -> None:
    sources = (
        EnvFromSource(config_map_ref=ConfigMapEnvSource(name="conf"), prefix="C_"),
        EnvFromSource(secret_ref=SecretEnvSource(name="key")),
    )
    assert env(EnvVar(name="C_a", value="mine"), sources=sources) == {"C_a": "mine", "C_b": "2", "token": "s3cret"}


def test_resources_are_told_in_units_of_the_divisor_and_an_absent_limit_is_the_nodes() -> None:
    resources = ResourceRequirements(limits={"memory": "64Mi"}, requests={"cpu": "250m"})
    found = env(
        variable("MEM", resource_field_ref=ResourceFieldSelector(resource="limits.memory", divisor="1Mi")),
        variable("REQ", resource_field_ref=ResourceFieldSelector(resource="requests.cpu", divisor="1m")),
        variable("CPU", resource_field_ref=ResourceFieldSelector(resource="limits.cpu")),
        resources=resources,
    )
    assert found == {"MEM": "64", "REQ": "250", "CPU": "4"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"config_map_key_ref": ConfigMapKeySelector(name="none", key="a")}, "configmap 'none' not found"),
        ({"config_map_key_ref": ConfigMapKeySelector(name="conf", key="z")}, "couldn't find key z in configmap 'conf'"),
        ({"secret_key_ref": SecretKeySelector(name="none", key="a")}, "secret 'none' not found"),
        ({"field_ref": ObjectFieldSelector(field_path="spec.tolerations")}, "not a field"),
    ],
)
def test_what_is_missing_is_named(source: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigMissing, match=message):
        env(variable("X", **source))


def test_what_is_missing_but_optional_is_left_out() -> None:
    optional = ConfigMapKeySelector(name="none", key="a", optional=True)
    sources = (EnvFromSource(secret_ref=SecretEnvSource(name="none", optional=True)),)
    assert env(variable("X", config_map_key_ref=optional), sources=sources) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("$(A) $(B)", "1 $(B)"), ("$$(A)", "$(A)"), ("$A", "$A"), ("$$", "$"), ("$(A", "$(A"), ("x$(A)y$(A)", "x1y1")],
)
def test_references_are_expanded(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected


@given(st.text(alphabet="$()AB x"))
def test_expansion_without_variables_only_unescapes_dollars(text: str) -> None:
    assert expand(text, {}) == text.replace("$$", "$")


def test_variables_see_only_those_defined_before() -> None:
    found = env(EnvVar(name="B", value="$(A)"), EnvVar(name="A", value="1"), EnvVar(name="C", value="$(A)"))
    assert found == {"B": "$(A)", "A": "1", "C": "1"}


# -- volumes --------------------------------------------------------------------------------------------------


def planned(*wanted: Volume) -> list[object]:
    return list(volumes.plan(pod(volumes=wanted), KNOWN))


def test_volumes_become_folders_and_files_with_their_modes() -> None:
    items = (KeyToPath(key="a", path="sub/a.conf", mode=0o600),)
    assert planned(
        Volume(name="scratch", empty_dir=EmptyDirVolumeSource(medium="Memory", size_limit="1Mi")),
        Volume(name="conf", config_map=ConfigMapVolumeSource(name="conf", items=items)),
        Volume(name="key", secret=SecretVolumeSource(secret_name="key", default_mode=0o400)),
        Volume(name="bare"),
    ) == [
        volumes.EmptyDir(name="scratch", in_memory=True, size_bytes=1 << 20),
        volumes.Files(name="conf", files={"sub/a.conf": VolumeFile(b"1", 0o600)}, secret=False),
        volumes.Files(name="key", files={"token": VolumeFile(b"s3cret", 0o400)}, secret=True),
        volumes.EmptyDir(name="bare", in_memory=False, size_bytes=0),
    ]


def test_a_missing_source_holds_the_pod_unless_it_is_optional() -> None:
    with pytest.raises(ConfigMissing, match="secret 'none' not found"):
        planned(Volume(name="v", secret=SecretVolumeSource(secret_name="none")))
    with pytest.raises(ConfigMissing, match="asks for key 'z'"):
        planned(Volume(name="v", config_map=ConfigMapVolumeSource(name="conf", items=(KeyToPath(key="z", path="z"),))))
    optional = Volume(name="v", config_map=ConfigMapVolumeSource(name="none", optional=True))
    assert planned(optional) == [volumes.Files(name="v", files={}, secret=False)]


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../b", ""])
def test_no_path_leads_out_of_a_volume(path: str) -> None:
    items = (KeyToPath(key="a", path=path),)
    with pytest.raises(VolumeFailed):
        planned(Volume(name="v", config_map=ConfigMapVolumeSource(name="conf", items=items)))
    mount = VolumeMount(name="v", mount_path="/v", sub_path=path or "..")
    with pytest.raises(VolumeFailed):
        volumes.mounts(pod(), container(volume_mounts=(mount,)), {"v": "/host/v"}, {})


def test_a_mount_of_a_volume_that_the_pod_lacks_is_named() -> None:
    with pytest.raises(VolumeFailed, match="'gone'"):
        volumes.mounts(pod(), container(volume_mounts=(VolumeMount(name="gone", mount_path="/x"),)), {}, {})


def test_what_is_made_from_an_object_is_mounted_read_only() -> None:
    conf, own = (
        Volume(name="conf", config_map=ConfigMapVolumeSource(name="conf")),
        Volume(name="own", empty_dir=EmptyDirVolumeSource()),
    )
    main = container(
        volume_mounts=(VolumeMount(name="conf", mount_path="/c"), VolumeMount(name="own", mount_path="/o"))
    )
    found = volumes.mounts(pod(volumes=(conf, own)), main, {"conf": "/host/c", "own": "/host/o"}, {})
    assert [(mount.target, mount.read_only) for mount in found] == [("/c", True), ("/o", False)]


# -- specs ----------------------------------------------------------------------------------------------------


def spec(wanted: Container, within: Pod | None = None, image_user: str = "") -> ContainerSpec:
    return container_spec(
        within or pod(containers=(wanted,)),
        wanted,
        attempt=0,
        image="i",
        environment={"A": "1"},
        mounts=(),
        image_user=image_user,
        node_memory_bytes=8 << 30,
    )


def test_requests_become_weight_and_limits_become_ceilings() -> None:
    resources = ResourceRequirements(requests={"cpu": "500m", "memory": "4Gi"}, limits={"cpu": "1", "memory": "4Gi"})
    found = spec(container(resources=resources))
    assert (found.cpu_shares, found.cpu_millis, found.memory_bytes) == (512, 1000, 4 << 30)
    assert found.oom_score_adj == 500
    assert spec(container()).oom_score_adj == 1000 and spec(container()).cpu_shares == 2


def test_commands_see_the_environment() -> None:
    assert spec(Container(name="c", command=("echo", "$(A)"), args=("$(B)",))).command == ("echo", "1")


@pytest.mark.parametrize(
    ("user", "image_user", "allowed"),
    [(0, "1000", False), (None, "", False), (None, "web", False), (None, "1000:1000", True), (7, "", True)],
)
def test_a_container_that_must_not_be_root_is_not(user: int | None, image_user: str, allowed: bool) -> None:
    wanted = container(security_context=SecurityContext(run_as_user=user))
    within = pod(containers=(wanted,), security_context=PodSecurityContext(run_as_non_root=True))
    if allowed:
        assert spec(wanted, within, image_user).user == ("7" if user else "")
    else:
        with pytest.raises(ConfigMissing, match="runAsNonRoot"):
            spec(wanted, within, image_user)


def test_hosts_and_resolv_conf_are_the_pods_own() -> None:
    aliases = (HostAlias(ip="10.1.1.1", hostnames=("db", "cache")),)
    text = hosts_file(pod(host_aliases=aliases), "10.0.0.1").decode().splitlines()
    assert text[0] == "127.0.0.1\tlocalhost" and text[-2:] == ["10.0.0.1\tweb", "10.1.1.1\tdb cache"]
    own = pod(dns_policy="None", dns_config=PodDNSConfig(nameservers=("10.9.9.9",), searches=("a.b",)))
    assert resolv_conf(own, "nameserver 1.1.1.1\n") == b"nameserver 10.9.9.9\nsearch a.b\n"
    assert resolv_conf(pod(), "nameserver 1.1.1.1\n") == b"nameserver 1.1.1.1\n"


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("me/app:2", "docker.io/me/app:2"),
        ("localhost/web:1", "localhost/web:1"),
        ("registry.lab:5000/web", "registry.lab:5000/web:latest"),
        ("quay.io/a/b@sha256:00", "quay.io/a/b@sha256:00"),
    ],
)
def test_image_names_are_completed_as_in_kubernetes(name: str, full: str) -> None:
    assert complete(name) == full
