"""Who asks: a verified client certificate, or a bearer token; anything else is Unauthenticated.

A certificate's common name is the user and its organizations are the groups, as in Kubernetes ("Authenticating"). A
token that is given must be right, even beside a certificate of somebody else: the certificate wins only when there is
no token, as nobody sends both by accident.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestr8.errors import Unauthenticated
from orchestr8.master.apiserver.deps import Identity
from orchestr8.master.apiserver.messages import Request

AUTHENTICATED = "system:authenticated"


def identify(request: Request, verifier: Callable[[str], Identity | None]) -> Identity:
    """Raises Unauthenticated. The identity's groups hold system:authenticated."""
    header = request.headers.get("authorization", "")
    if header:
        scheme, _, token = header.partition(" ")
        found = verifier(token.strip()) if scheme.lower() == "bearer" and token.strip() else None
        if found is None:
            raise Unauthenticated("Unauthorized")
        return _with_everybody(found)
    if request.certificate is not None and request.certificate.common_name:
        return _with_everybody(Identity(request.certificate.common_name, request.certificate.organizations))
    raise Unauthenticated("Unauthorized")


def _with_everybody(identity: Identity) -> Identity:
    if AUTHENTICATED in identity.groups:
        return identity
    return Identity(identity.user, (*identity.groups, AUTHENTICATED), identity.uid)
