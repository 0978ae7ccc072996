"""Defaults of Namespace and Secret."""

from __future__ import annotations

from orchestr8.api.config import Namespace, Secret
from orchestr8.api.defaults.fill import change, fill
from orchestr8.api.meta import with_metadata

NAMESPACE_FINALIZER = "kubernetes"
NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"


def default_namespace(namespace: Namespace) -> Namespace:
    meta = namespace.metadata
    if meta.name and meta.labels.get(NAMESPACE_NAME_LABEL) != meta.name:
        namespace = with_metadata(namespace, labels={**meta.labels, NAMESPACE_NAME_LABEL: meta.name})
    if not namespace.spec.finalizers and meta.deletion_timestamp is None:
        namespace = change(namespace, spec=change(namespace.spec, finalizers=(NAMESPACE_FINALIZER,)))
    return change(namespace, status=fill(namespace.status, phase="Active"))


def default_secret(secret: Secret) -> Secret:
    """``stringData`` is a way to write, never stored: its entries win over ``data``."""
    secret = fill(secret, type="Opaque")
    if not secret.string_data:
        return secret
    encoded = {key: text.encode() for key, text in secret.string_data.items()}
    return change(secret, data={**secret.data, **encoded}, string_data={})
