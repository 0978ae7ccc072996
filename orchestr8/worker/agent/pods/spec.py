"""From a pod's container to what the runtime is asked for. Pure.

CPU requests are the weight under contention, limits the ceiling; the kernel kills the pods first that asked for
the least memory. Sources: Kubernetes, "Resource Management for Pods and Containers" and "Node-pressure Eviction".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestr8.api import quantity
from orchestr8.api.pod import Container, Pod
from orchestr8.api.qos import qos_class
from orchestr8.worker.agent.pods.environment import ConfigMissing, expand
from orchestr8.worker.runtime.base import ContainerSpec, Mount

_SHARES_PER_CORE = 1024
_SHARES_MIN = 2
_OOM_SCORE_GUARANTEED = -997
_OOM_SCORE_BEST_EFFORT = 1000


def container_spec(
    pod: Pod,
    container: Container,
    *,
    attempt: int,
    image: str,
    environment: Mapping[str, str],
    mounts: Sequence[Mount],
    image_user: str,
    node_memory_bytes: int,
) -> ContainerSpec:
    """``image_user``: whom the image runs as. Raises ConfigMissing when the container would be root and must not."""
    limits = container.resources.limits if container.resources else {}
    requests = container.resources.requests if container.resources else {}
    security = container.security_context
    capabilities = security.capabilities if security is not None else None
    cpu_request = requests.get("cpu") or limits.get("cpu") or "0"
    return ContainerSpec(
        name=container.name,
        attempt=attempt,
        image=image,
        command=tuple(expand(part, environment) for part in container.command),
        args=tuple(expand(part, environment) for part in container.args),
        env=environment,
        working_dir=container.working_dir or "",
        mounts=tuple(mounts),
        memory_bytes=quantity.memory_bytes(limits.get("memory", "0")),
        cpu_millis=quantity.cpu_millis(limits.get("cpu", "0")),
        cpu_shares=max(_SHARES_MIN, quantity.cpu_millis(cpu_request) * _SHARES_PER_CORE // 1000),
        oom_score_adj=_oom_score(pod, container, node_memory_bytes),
        tty=bool(container.tty),
        stdin=bool(container.stdin),
        read_only_root=bool(security and security.read_only_root_filesystem),
        privileged=bool(security and security.privileged),
        no_new_privileges=security is not None and security.allow_privilege_escalation is False,
        capabilities_add=_capabilities(capabilities.add if capabilities else ()),
        capabilities_drop=_capabilities(capabilities.drop if capabilities else ()),
        user=_user(pod, container, image_user),
    )


def hostname(pod: Pod) -> str:
    return (pod.spec.hostname or pod.metadata.name)[:63].rstrip("-.")


def hosts_file(pod: Pod, ip: str) -> bytes:
    """Nothing of the node's own file: a pod's names are its own."""
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", f"{ip}\t{hostname(pod)}"]
    lines += [f"{alias.ip}\t{' '.join(alias.hostnames)}" for alias in pod.spec.host_aliases]
    return ("\n".join(lines) + "\n").encode()


def resolv_conf(pod: Pod, node_resolv_conf: str) -> bytes:
    """The node's servers, unless the pod names its own (``dnsPolicy: None``); ``dnsConfig`` is added in any case."""
    wanted = pod.spec.dns_config
    lines = [] if pod.spec.dns_policy == "None" else [line for line in node_resolv_conf.splitlines() if line.strip()]
    if wanted is not None:
        lines += [f"nameserver {server}" for server in wanted.nameservers]
        if wanted.searches:
            lines.append(f"search {' '.join(wanted.searches)}")
        options = [f"{item.name}:{item.value}" if item.value else f"{item.name}" for item in wanted.options]
        if options:
            lines.append(f"options {' '.join(options)}")
    return ("\n".join(lines) + "\n").encode() if lines else b""


def must_not_be_root(pod: Pod, container: Container) -> bool:
    return bool(_first(container.security_context, pod.spec.security_context, "run_as_non_root"))


def _user(pod: Pod, container: Container, image_user: str) -> str:
    security, pod_security = container.security_context, pod.spec.security_context
    user = _first(security, pod_security, "run_as_user")
    group = _first(security, pod_security, "run_as_group")
    if must_not_be_root(pod, container):
        name = str(user) if user is not None else image_user.partition(":")[0] or "0"
        if not name.isdigit():
            raise ConfigMissing(f"runAsNonRoot is set and the image's user {name!r} is no number: set runAsUser")
        if int(name) == 0:
            raise ConfigMissing("runAsNonRoot is set and the container would run as root: set runAsUser")
    if user is None and group is None:
        return ""
    return f"{user if user is not None else 0}" + (f":{group}" if group is not None else "")


def _first(first: object, second: object, name: str) -> int | None:
    value = getattr(first, name, None)
    return value if value is not None else getattr(second, name, None)


def _capabilities(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name if name.upper() == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in names)


def _oom_score(pod: Pod, container: Container, node_memory_bytes: int) -> int:
    qos = qos_class(pod)
    if qos == "Guaranteed":
        return _OOM_SCORE_GUARANTEED
    if qos == "BestEffort" or not node_memory_bytes:
        return _OOM_SCORE_BEST_EFFORT
    requests = container.resources.requests if container.resources else {}
    asked = quantity.memory_bytes(requests.get("memory", "0"))
    score = 1000 - 1000 * asked // node_memory_bytes
    return min(max(score, 1000 + _OOM_SCORE_GUARANTEED), _OOM_SCORE_BEST_EFFORT - 1)
