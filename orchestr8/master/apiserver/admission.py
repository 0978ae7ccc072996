"""What happens to an object before it is stored. Pure: (old, new, state, now, names) to the object to write.

The server's own fields are set here, never by clients: uid, creationTimestamp, generation, deletionTimestamp.
``spec`` and ``status`` have one writer each: a create or update of the object drops its status, a status update all
else. Then defaults, addresses of Services, and every rule at once; each complaint names its field. A field that
Kubernetes knows and that is not run here is named in a warning, or refused where ignoring it would be unsafe.
Source: Kubernetes API conventions, "Metadata", "Spec and Status".
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import msgspec

from orchestr8 import limits
from orchestr8.api import codec, validation
from orchestr8.api.config import ConfigMap, Namespace, Secret, ServiceAccount
from orchestr8.api.defaults import apply_defaults, carry_over
from orchestr8.api.meta import Object, with_metadata
from orchestr8.api.node import Node
from orchestr8.api.pod import Pod
from orchestr8.api.service import Service
from orchestr8.clock import to_seconds
from orchestr8.errors import BadRequest, Cause, Conflict, Forbidden, Invalid
from orchestr8.master.apiserver.routes import Target
from orchestr8.master.controllers import service_addresses
from orchestr8.master.controllers.bootstrap import NAMESPACES
from orchestr8.names import Names
from orchestr8.store.view import View

_SERVICE_ACCOUNT = "default"
_WITH_GENERATION = ("Deployment", "Pod", "ReplicaSet")
_PREFIX_CHARS = 58  # of generateName; with the suffix it is a name of 63


@dataclass(frozen=True, slots=True)
class Grounds:
    """What admission stands on beside the objects."""

    now: dt.datetime
    names: Names
    ranges: service_addresses.Ranges


@dataclass(frozen=True, slots=True)
class Admitted:
    """``warnings`` go to the client."""

    obj: Any
    warnings: tuple[str, ...] = ()


def admit_new(target: Target, obj: Any, view: View, grounds: Grounds) -> Admitted:
    """The object that a create stores. Raises BadRequest, Forbidden (namespace, service account) and Invalid."""
    obj = _in_namespace(target, obj)
    meta = obj.metadata
    if meta.resource_version:
        raise BadRequest("metadata.resourceVersion: should not be set on objects to be created")
    _check_open(view, target)
    name = meta.name
    if not name and meta.generate_name:
        name = meta.generate_name[:_PREFIX_CHARS] + grounds.names.suffix()
    obj = with_metadata(
        obj,
        name=name,
        uid=grounds.names.uid(),
        creation_timestamp=to_seconds(grounds.now),
        deletion_timestamp=None,
        deletion_grace_period_seconds=None,
        generation=1 if target.kind.kind in _WITH_GENERATION else None,
        managed_fields=(),
        self_link=None,
    )
    if target.kind.subresource("status") is not None and not isinstance(obj, Node):  # a node brings its own
        obj = msgspec.structs.replace(obj, status=type(obj.status)())
    if isinstance(obj, Pod):
        obj = _with_service_account(obj, view)
    obj = apply_defaults(obj)
    warnings, refusals = validation.not_run(obj)
    _refuse(target, name, (*validation.validate_create(obj), *refusals, *_too_large(obj)))
    if isinstance(obj, Service):
        obj = service_addresses.allocate(obj, view.list(Service), grounds.ranges)
    return Admitted(obj, warnings)


def admit_change(target: Target, old: Any, new: Any, view: View, grounds: Grounds) -> Admitted:
    """The object that an update stores; ``old`` itself when nothing changes.

    Raises BadRequest, Conflict (another uid or resourceVersion than the stored one) and Invalid.
    """
    new = _in_namespace(target, new)
    check_preconditions(target, old, new)
    if target.subresource == "status":
        new = msgspec.structs.replace(old, status=new.status)
    elif target.subresource == "finalize":
        new = msgspec.structs.replace(old, spec=msgspec.structs.replace(old.spec, finalizers=new.spec.finalizers))
    else:
        new = apply_defaults(carry_over(old, _keep_server_fields(target, old, new)))
    if new == old:
        return Admitted(old)
    warnings: tuple[str, ...] = ()
    refusals: tuple[Cause, ...] = ()
    if not target.subresource and _spec(new) != _spec(old):  # what is stored was judged when it came
        warnings, refusals = validation.not_run(new)
    _refuse(target, target.name, (*validation.validate_update(old, new), *refusals, *_too_large(new)))
    if isinstance(new, Service) and not target.subresource:
        others = [each for each in view.list(Service) if each.metadata.uid != old.metadata.uid]
        new = service_addresses.allocate(new, others, grounds.ranges)
    if old.metadata.generation is not None and _spec(new) != _spec(old):
        new = with_metadata(new, generation=old.metadata.generation + 1)
    return Admitted(new, warnings)


def check_preconditions(target: Target, old: Object, new: Object) -> None:
    """The name in a body must be the URL's; its uid and resourceVersion the stored object's.

    Raises BadRequest and Conflict.
    """
    meta = new.metadata
    if meta.name and meta.name != target.name:
        raise BadRequest(f"the name of the object ({meta.name}) does not match the name on the URL ({target.name})")
    overtaken = f'Operation cannot be fulfilled on {target.resource} "{target.name}": '
    if meta.uid and meta.uid != old.metadata.uid:
        raise Conflict(f"{overtaken}the uid in the body ({meta.uid}) is not the object's ({old.metadata.uid})")
    if meta.resource_version and meta.resource_version != old.metadata.resource_version:
        raise Conflict(
            f"{overtaken}the object has been modified; please apply your changes to the latest version and try again"
        )


def check_deletable(target: Target) -> None:
    """The namespaces that the system needs stay. Raises Forbidden."""
    if target.kind.cls is Namespace and target.name in NAMESPACES:
        raise Forbidden(f'namespaces "{target.name}" is forbidden: this namespace may not be deleted')


def _check_open(view: View, target: Target) -> None:
    """Whether its namespace exists is a compare of the write; here only whether it is on its way out."""
    namespace = view.get(Namespace, "", target.namespace) if target.namespace else None
    if namespace is not None and namespace.metadata.deletion_timestamp is not None:
        raise Forbidden(
            f'{target.resource} is forbidden: unable to create new content in namespace "{target.namespace}" '
            "because it is being terminated"
        )


def _in_namespace(target: Target, obj: Any) -> Any:
    namespace = obj.metadata.namespace
    if target.namespace and namespace and namespace != target.namespace:
        raise BadRequest(
            f"the namespace of the provided object ({namespace}) does not match the namespace sent on the request "
            f"({target.namespace})"
        )
    return with_metadata(obj, namespace=target.namespace)


def _keep_server_fields(target: Target, old: Any, new: Any) -> Any:
    was = old.metadata
    new = with_metadata(
        new,
        name=was.name,
        uid=was.uid,
        generate_name=was.generate_name,
        creation_timestamp=was.creation_timestamp,
        deletion_timestamp=was.deletion_timestamp,
        deletion_grace_period_seconds=was.deletion_grace_period_seconds,
        generation=was.generation,
        resource_version=was.resource_version,
        managed_fields=(),
        self_link=None,
    )
    if isinstance(new, Namespace):  # its finalizers are changed through /finalize only
        new = msgspec.structs.replace(new, spec=old.spec)
    return msgspec.structs.replace(new, status=old.status) if target.kind.subresource("status") is not None else new


def _with_service_account(pod: Pod, view: View) -> Pod:
    name = pod.spec.service_account_name or pod.spec.service_account or _SERVICE_ACCOUNT
    namespace = pod.metadata.namespace
    if name != _SERVICE_ACCOUNT and view.get(ServiceAccount, namespace, name) is None:
        raise Forbidden(
            f'pods "{pod.metadata.name}" is forbidden: error looking up service account {namespace}/{name}: '
            f'serviceaccount "{name}" not found'
        )
    spec = msgspec.structs.replace(pod.spec, service_account_name=name, service_account=name)
    return msgspec.structs.replace(pod, spec=spec)


def _too_large(obj: Object) -> tuple[Cause, ...]:
    bound = limits.OBJECT_BYTES_DATA if isinstance(obj, ConfigMap | Secret) else limits.OBJECT_BYTES
    size_bytes = len(codec.encode(obj))
    if size_bytes <= bound:
        return ()
    fields = {name: len(msgspec.json.encode(value)) for name, value in codec.to_builtins(obj).items()}
    largest = max(fields, key=lambda name: fields[name])
    message = f"Too long: the object has {size_bytes} bytes, at most {bound} are kept"
    return (Cause(largest, message, "FieldValueTooLong"),)


def _refuse(target: Target, name: str, causes: tuple[Cause, ...]) -> None:
    if not causes:
        return
    listed = [f"{cause.field}: {cause.message}" for cause in causes]
    told = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
    group = f".{target.kind.group}" if target.kind.group else ""
    raise Invalid(f'{target.kind.kind}{group} "{name}" is invalid: {told}', causes)


def _spec(obj: Object) -> Any:
    return getattr(obj, "spec", None)
