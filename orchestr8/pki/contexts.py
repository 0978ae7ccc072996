"""TLS contexts from PEM. Our own processes speak TLS 1.3 only; the API also takes 1.2, for others' clients.

Both servers ask for a client certificate and serve without one: the API reads bearer tokens, the wire lets peers join.
"""

from __future__ import annotations

import os
import ssl

from orchestr8.pki.files import Identity

_ALPN_RPC = ["orchestr8-rpc/1"]


def rpc_server(identity: Identity) -> ssl.SSLContext:
    context = _server(identity)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(_ALPN_RPC)
    return context


def rpc_client(ca_pem: bytes, identity: Identity | None = None) -> ssl.SSLContext:
    """Without an identity the peer may only ask for public methods."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=ca_pem.decode("ascii"))
    context.set_alpn_protocols(_ALPN_RPC)
    if identity is not None:
        reload(context, identity)
    return context


def rpc_client_unverified() -> ssl.SSLContext:
    """For one purpose: to fetch the CA's certificate, which is then compared with the hash in a join token."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(_ALPN_RPC)
    return context


def api_server(identity: Identity) -> ssl.SSLContext:
    context = _server(identity)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _server(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=identity.ca_pem.decode("ascii"))
    context.num_tickets = 0  # no resumption: each connection proves its certificate anew, and idle ones stay small
    context.options |= ssl.OP_NO_RENEGOTIATION
    reload(context, identity)
    return context


def reload(context: ssl.SSLContext, identity: Identity) -> None:
    """New connections of ``context`` show this certificate.

    ``load_cert_chain`` takes only paths: it is handed memory, so that a key never lies in a temporary file.
    """
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, identity.certificate_pem + identity.key_pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
