"""How a noun's fields are declared: the base class, the scalar types, and the notes that each field carries.

A note (``about``) is the single source for decoding, validation, OpenAPI, strategic merge, server-side apply and,
later, protobuf: description, merge key, list type. ``shape.py`` reads the notes back.

Zero values follow Go's ``omitempty``: a field that Kubernetes always writes has ``always(...)`` as its default, so
that clients which insist on required fields (the Python client does) find them; every other field is left out of the
JSON when it is empty. ``zero_matters`` marks optional scalars whose 0, false or "" differs from absent (Go's pointers).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)

# Attributes whose JSON name is not plain camel case.
_INITIALISMS = {
    "boot_id": "bootID",
    "client_ip": "clientIP",
    "cluster_ip": "clusterIP",
    "cluster_ips": "clusterIPs",
    "container_id": "containerID",
    "continue_": "continue",
    "downward_api": "downwardAPI",
    "external_id": "externalID",
    "external_ips": "externalIPs",
    "host_ip": "hostIP",
    "host_ipc": "hostIPC",
    "host_ips": "hostIPs",
    "host_pid": "hostPID",
    "image_id": "imageID",
    "load_balancer_ip": "loadBalancerIP",
    "machine_id": "machineID",
    "non_resource_urls": "nonResourceURLs",
    "pod_cidr": "podCIDR",
    "pod_cidrs": "podCIDRs",
    "pod_ip": "podIP",
    "pod_ips": "podIPs",
    "provider_id": "providerID",
    "scale_io": "scaleIO",
    "set_hostname_as_fqdn": "setHostnameAsFQDN",
    "system_uuid": "systemUUID",
}


def json_name(attribute: str) -> str:
    """``node_name`` -> ``nodeName``; ``pod_ip`` -> ``podIP``."""
    known = _INITIALISMS.get(attribute)
    if known is not None:
        return known
    first, *rest = attribute.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


class Noun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename=json_name):
    """Base of every object and part of an object. Frozen and without cycles, hence not tracked by the collector."""


def about(
    description: str,
    *,
    merge_key: str | None = None,
    map_keys: tuple[str, ...] = (),
    list_type: str | None = None,
    strategy: str | None = None,
    atomic: bool = False,
    zero_matters: bool = False,
    protobuf: int | None = None,
) -> msgspec.Meta:
    """The note of one field.

    ``merge_key``: the key by which strategic merge matches the items of a list. ``map_keys``: the keys of a
    list of type map when they are not just the merge key. ``list_type``: map, set or atomic; without it a list with a
    merge key is a map, any other is atomic. ``strategy``: a patch strategy other than "merge by merge key".
    ``atomic``: a map that is replaced as a whole by server-side apply. ``protobuf``: the field's number there.
    """
    if list_type is None and (merge_key is not None or map_keys):
        list_type = "map"
    extra: dict[str, Any] = {}
    if list_type is not None:
        extra["list_type"] = list_type
    if list_type == "map":
        extra["map_keys"] = map_keys or (merge_key,)
    if merge_key is not None:
        extra["merge_key"] = merge_key
        strategy = strategy or "merge"
    if strategy is not None:
        extra["strategy"] = strategy
    if atomic:
        extra["atomic"] = True
    if zero_matters:
        extra["zero_matters"] = True
    if protobuf is not None:
        extra["protobuf"] = protobuf
    return msgspec.Meta(description=description, extra=extra)


def always(value: Any) -> Any:
    """A default that is written to JSON all the same (``omit_defaults`` only looks at plain defaults)."""
    return msgspec.field(default_factory=lambda: value)


def empty(cls: type[S]) -> Any:
    """The empty object of ``cls`` as a default, written to JSON as ``{}``."""
    factory: Callable[[], S] = cls
    return msgspec.field(default_factory=factory)


Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
IntOrString = int | str
Time = Annotated[datetime, msgspec.Meta(tz=True)]
MicroTime = Annotated[datetime, msgspec.Meta(tz=True, extra={"micro": True})]
Quantity = Annotated[str, msgspec.Meta(extra={"quantity": True})]
