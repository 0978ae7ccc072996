"""Rules of metadata, label maps and label selectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestr8.api.meta import LabelSelector, LabelSelectorRequirement, Object, ObjectMeta, OwnerReference
from orchestr8.api.validation import syntax
from orchestr8.api.validation.complaints import Complaints

ANNOTATION_BYTES = 256 * 1024
Syntax = Callable[[str], str]


def check_metadata(
    complaints: Complaints, meta: ObjectMeta, path: str, *, namespaced: bool | None, name_syntax: Syntax
) -> None:
    """``namespaced`` None: the object is a template, whose name and namespace do not count."""
    if namespaced is not None:
        _check_names(complaints, meta, path, namespaced, name_syntax)
    check_labels(complaints, meta.labels, f"{path}.labels")
    _check_annotations(complaints, meta.annotations, f"{path}.annotations")
    for index, finalizer in enumerate(meta.finalizers):
        if problem := syntax.qualified_name(finalizer):
            complaints.invalid(f"{path}.finalizers[{index}]", finalizer, problem)
    if {"orphan", "foregroundDeletion"} <= set(meta.finalizers):
        complaints.invalid(
            f"{path}.finalizers", list(meta.finalizers), "orphan and foregroundDeletion exclude each other"
        )
    _check_owners(complaints, meta.owner_references, f"{path}.ownerReferences")


def check_metadata_update(complaints: Complaints, old: Object, new: Object) -> None:
    """What identifies an object never changes."""
    for field, before, after in (
        ("name", old.metadata.name, new.metadata.name),
        ("namespace", old.metadata.namespace, new.metadata.namespace),
        ("uid", old.metadata.uid, new.metadata.uid),
        ("creationTimestamp", old.metadata.creation_timestamp, new.metadata.creation_timestamp),
        ("deletionTimestamp", old.metadata.deletion_timestamp, new.metadata.deletion_timestamp),
    ):
        if before != after:
            complaints.invalid(f"metadata.{field}", after, "field is immutable")
    if old.metadata.deletion_timestamp is not None:
        for added in sorted(set(new.metadata.finalizers) - set(old.metadata.finalizers)):
            complaints.forbidden(
                "metadata.finalizers", f"no finalizer may be added while the object is deleted: {added}"
            )


def _check_names(complaints: Complaints, meta: ObjectMeta, path: str, namespaced: bool, name_syntax: Syntax) -> None:
    # A generated name ends in letters, so a dash at the end of the prefix is fine.
    if meta.generate_name and (problem := name_syntax(meta.generate_name.rstrip("-") + "a")):
        complaints.invalid(f"{path}.generateName", meta.generate_name, problem)
    if not meta.name:
        if not meta.generate_name:
            complaints.required(f"{path}.name", "name or generateName is required")
    elif problem := name_syntax(meta.name):
        complaints.invalid(f"{path}.name", meta.name, problem)
    if not namespaced:
        if meta.namespace:
            complaints.forbidden(f"{path}.namespace", "not allowed on this type")
    elif not meta.namespace:
        complaints.required(f"{path}.namespace")
    elif problem := syntax.label(meta.namespace):
        complaints.invalid(f"{path}.namespace", meta.namespace, problem)


def check_labels(complaints: Complaints, labels: Mapping[str, str], path: str) -> None:
    for key, value in labels.items():
        if problem := syntax.qualified_name(key):
            complaints.invalid(path, key, problem)
        if problem := syntax.label_value(value):
            complaints.invalid(path, value, problem)


def _check_annotations(complaints: Complaints, annotations: Mapping[str, str], path: str) -> None:
    for key in annotations:
        if problem := syntax.qualified_name(key.lower()):
            complaints.invalid(path, key, problem)
    if sum(len(key) + len(value.encode()) for key, value in annotations.items()) > ANNOTATION_BYTES:
        complaints.too_long(path, ANNOTATION_BYTES)


def _check_owners(complaints: Complaints, owners: tuple[OwnerReference, ...], path: str) -> None:
    for index, owner in enumerate(owners):
        here = f"{path}[{index}]"
        for field, value in (
            ("apiVersion", owner.api_version),
            ("kind", owner.kind),
            ("name", owner.name),
            ("uid", owner.uid),
        ):
            if not value:
                complaints.invalid(f"{here}.{field}", value, f"{field} must not be empty")
    controllers = [owner for owner in owners if owner.controller]
    if len(controllers) > 1:
        complaints.invalid(
            path, [owner.name for owner in controllers], "only one reference can have controller set to true"
        )


def check_selector(complaints: Complaints, selector: LabelSelector, path: str) -> None:
    check_labels(complaints, selector.match_labels, f"{path}.matchLabels")
    for index, expression in enumerate(selector.match_expressions):
        _check_expression(complaints, expression, f"{path}.matchExpressions[{index}]")


def _check_expression(complaints: Complaints, expression: LabelSelectorRequirement, path: str) -> None:
    match expression.operator:
        case "In" | "NotIn":
            if not expression.values:
                complaints.required(f"{path}.values", "must be specified when operator is 'In' or 'NotIn'")
        case "Exists" | "DoesNotExist":
            if expression.values:
                complaints.forbidden(
                    f"{path}.values", "may not be specified when operator is 'Exists' or 'DoesNotExist'"
                )
        case _:
            complaints.invalid(f"{path}.operator", expression.operator, "not a valid selector operator")
    if problem := syntax.qualified_name(expression.key):
        complaints.invalid(f"{path}.key", expression.key, problem)
    for index, value in enumerate(expression.values):
        if problem := syntax.label_value(value):
            complaints.invalid(f"{path}.values[{index}]", value, problem)
