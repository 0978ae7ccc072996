"""The quality-of-service class of a pod: Guaranteed, Burstable or BestEffort, from its CPU and memory.

Source: the Kubernetes page "Pod Quality of Service Classes".
"""

from __future__ import annotations

from orchestr8.api import quantity
from orchestr8.api.pod import Container, Pod

_COUNTED = ("cpu", "memory")


def qos_class(pod: Pod) -> str:
    """Guaranteed when every container limits CPU and memory and requests just that; BestEffort when none asks any."""
    containers = (*pod.spec.init_containers, *pod.spec.containers)
    if not any(_asks(container) for container in containers):
        return "BestEffort"
    return "Guaranteed" if all(_is_guaranteed(container) for container in containers) else "Burstable"


def _asks(container: Container) -> bool:
    resources = container.resources
    if resources is None:
        return False
    return any(_value(amounts.get(name)) for name in _COUNTED for amounts in (resources.requests, resources.limits))


def _is_guaranteed(container: Container) -> bool:
    resources = container.resources
    if resources is None:
        return False
    for name in _COUNTED:
        limit = _value(resources.limits.get(name))
        if not limit or _value(resources.requests.get(name, resources.limits[name])) != limit:
            return False
    return True


def _value(text: str | None) -> object:
    """0 for what is unset or, until validation has refused it, no quantity."""
    return quantity.parse(text) if text is not None and quantity.is_valid(text) else 0
