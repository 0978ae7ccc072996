"""A kubeconfig that kubectl and our own CLI read: CA, one person's certificate and key, and the address of a master.

kubectl knows one server per cluster; the addresses of all masters stand in an extension, which our CLI uses to go on
when the first does not answer. Format: Kubernetes reference, kubeconfig v1.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Sequence

import yaml

from orchestr8.errors import BadRequest
from orchestr8.pki import ca, certificates

EXTENSION = "orchestr8.io/servers"


def render(
    authority: ca.Authority,
    subject: certificates.Subject,
    servers: Sequence[str],
    now: dt.datetime,
    *,
    cluster: str = "orchestr8",
) -> str:
    """YAML for ``subject``, with a key made here. ``servers``: ``https://host:6443`` of every master."""
    if not servers:
        raise BadRequest("a kubeconfig needs the address of at least one master")
    key = ca.new_key()
    certificate_pem = certificates.issue(authority, key.public_key(), subject, now)
    context = {"cluster": cluster, "user": f"{subject.name}@{cluster}"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": cluster,
                "cluster": {
                    "server": servers[0],
                    "certificate-authority-data": _base64(authority.certificate_pem),
                    "extensions": [{"name": EXTENSION, "extension": {"servers": list(servers)}}],
                },
            }
        ],
        "users": [
            {
                "name": context["user"],
                "user": {
                    "client-certificate-data": _base64(certificate_pem),
                    "client-key-data": _base64(ca.key_to_pem(key)),
                },
            }
        ],
        "contexts": [{"name": cluster, "context": context}],
        "current-context": cluster,
        "preferences": {},
    }
    text: str = yaml.safe_dump(document, sort_keys=False)
    return text


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
