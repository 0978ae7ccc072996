"""How to reach a cluster and as whom: what a kubeconfig says, kubectl's and ours alike.

Several files are merged as kubectl does: for each name the first file that has it wins. Besides the one server that
kubectl knows, ours lists every master in an extension, so that a client goes on when one is down. Paths inside a file
are relative to it. Format: Kubernetes reference, kubeconfig v1.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from orchestr8.errors import ConfigError

# The same name that pki/kubeconfig.py writes; spelled twice, because a client does not load the CA's code.
EXTENSION = "orchestr8.io/servers"

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Access:
    """``servers``: ``https://host:port``, the preferred first. Without certificate and token the API answers 401."""

    servers: tuple[str, ...]
    namespace: str = "default"
    context: str = ""
    ca_pem: bytes | None = None
    certificate_pem: bytes | None = None
    key_pem: bytes | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    verify: bool = True


def load(paths: Iterable[Path], context: str | None = None) -> Access:
    """The access that ``context`` (None: the current one) of these files describes. Raises ConfigError."""
    found = [path for path in paths if path.is_file()]
    if not found:
        raise ConfigError(
            "no kubeconfig found: make one with `orchestr8 kubeconfig` on a master, or name one with --kubeconfig"
        )
    documents = [(path, _read(path)) for path in found]
    name = context or next((str(doc["current-context"]) for _, doc in documents if doc.get("current-context")), "")
    if not name:
        raise ConfigError(f"{found[0]}: no current-context is set: choose one with --context")
    _, chosen = _named(documents, "contexts", name)
    cluster_file, cluster = _named(documents, "clusters", str(chosen.get("cluster", "")))
    user_file, user = _named(documents, "users", str(chosen.get("user", "")))
    if "exec" in user or "auth-provider" in user:
        raise ConfigError(f"{user_file}: login by a helper program is not supported: use a certificate or a token")
    return Access(
        servers=_servers(cluster_file, cluster),
        namespace=str(chosen.get("namespace") or "default"),
        context=name,
        ca_pem=_data(cluster_file, cluster, "certificate-authority"),
        certificate_pem=_data(user_file, user, "client-certificate"),
        key_pem=_data(user_file, user, "client-key"),
        token=_token(user_file, user),
        verify=not cluster.get("insecure-skip-tls-verify", False),
    )


def ssl_context(access: Access) -> ssl.SSLContext:
    """Raises ConfigError if certificate or key cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        if not access.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif access.ca_pem is not None:
            context.load_verify_locations(cadata=access.ca_pem.decode("ascii"))
        else:
            context.load_default_certs()
        if access.certificate_pem is not None and access.key_pem is not None:
            _load_pair(context, access.certificate_pem + b"\n" + access.key_pem)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise ConfigError(f"context {access.context}: certificate or key cannot be used: {error}") from error
    return context


def _load_pair(context: ssl.SSLContext, pem: bytes) -> None:
    """``load_cert_chain`` takes only paths: hand it memory, so that no key lies in a temporary file."""
    descriptor = os.memfd_create("client", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_bytes(), Loader=_Loader)
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: this is not a kubeconfig")
    return document


def _named(documents: list[tuple[Path, dict[str, Any]]], section: str, name: str) -> tuple[Path, dict[str, Any]]:
    known = []
    for path, document in documents:
        for entry in document.get(section) or []:
            if isinstance(entry, dict) and entry.get("name") == name:
                return path, entry.get(section.removesuffix("s")) or {}
            known.append(str(entry.get("name")) if isinstance(entry, dict) else "?")
    raise ConfigError(f"{documents[0][0]}: {section} has no {name!r}; there are: {', '.join(known) or 'none'}")


def _servers(path: Path, cluster: dict[str, Any]) -> tuple[str, ...]:
    first = str(cluster.get("server") or "")
    servers = [first] if first else []
    for extension in cluster.get("extensions") or []:
        if isinstance(extension, dict) and extension.get("name") == EXTENSION:
            servers += [str(server) for server in (extension.get("extension") or {}).get("servers") or []]
    if not servers or not all(server.startswith("https://") for server in servers):
        raise ConfigError(f"{path}: cluster.server must be https://host:port")
    return tuple(dict.fromkeys(server.rstrip("/") for server in servers))


def _data(path: Path, section: dict[str, Any], key: str) -> bytes | None:
    inline, file = section.get(f"{key}-data"), section.get(key)
    try:
        if inline:
            return base64.b64decode(str(inline), validate=True)
        return (path.parent / str(file)).read_bytes() if file else None
    except (OSError, binascii.Error) as error:
        raise ConfigError(f"{path}: {key}: {error}") from error


def _token(path: Path, user: dict[str, Any]) -> str | None:
    if user.get("token"):
        return str(user["token"])
    if user.get("tokenFile"):
        try:
            return (path.parent / str(user["tokenFile"])).read_text().strip()
        except OSError as error:
            raise ConfigError(f"{path}: tokenFile: {error}") from error
    return None
