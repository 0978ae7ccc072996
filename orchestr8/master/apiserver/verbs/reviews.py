"""The self reviews behind ``kubectl auth``: who am I, may I, what may I. Nothing is stored."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestr8.api import codec
from orchestr8.api.authorization import (
    SelfSubjectAccessReview,
    SelfSubjectReview,
    SelfSubjectReviewStatus,
    SelfSubjectRulesReview,
    SubjectAccessReviewStatus,
    SubjectRulesReviewStatus,
    UserInfo,
)
from orchestr8.errors import Invalid
from orchestr8.master.apiserver import access
from orchestr8.master.apiserver.access import Attributes
from orchestr8.master.apiserver.deps import Identity
from orchestr8.master.apiserver.formats import bodies
from orchestr8.master.apiserver.messages import Request, Response
from orchestr8.master.apiserver.routes import Target
from orchestr8.store.view import View


async def review(target: Target, request: Request, identity: Identity, view: View) -> Response:
    """Raises BadRequest and Invalid."""
    asked: Any = codec.from_builtins(target.kind.kind, await bodies.read_object(request))
    match asked:
        case SelfSubjectReview():
            user = UserInfo(username=identity.user, uid=identity.uid or None, groups=identity.groups)
            answer: Any = msgspec.structs.replace(asked, status=SelfSubjectReviewStatus(user_info=user))
        case SelfSubjectAccessReview():
            answer = msgspec.structs.replace(asked, status=_access(asked, identity, view))
        case SelfSubjectRulesReview():
            status = SubjectRulesReviewStatus(
                resource_rules=access.resource_rules(identity), non_resource_rules=access.path_rules(identity)
            )
            answer = msgspec.structs.replace(asked, status=status)
    return Response(201, codec.encode(answer))


def _access(asked: SelfSubjectAccessReview, identity: Identity, view: View) -> SubjectAccessReviewStatus:
    wanted, path = asked.spec.resource_attributes, asked.spec.non_resource_attributes
    if (wanted is None) == (path is None):
        raise Invalid("spec: exactly one of resourceAttributes and nonResourceAttributes must be given")
    if wanted is not None:
        attributes = Attributes(
            verb=wanted.verb or "",
            group=wanted.group or "",
            resource=wanted.resource or "*",
            subresource=wanted.subresource or "",
            namespace=wanted.namespace or "",
            name=wanted.name or "",
        )
    else:
        assert path is not None
        attributes = Attributes(verb=path.verb or "", path=path.path or "")
    allowed = access.allowed(identity, attributes, view)
    return SubjectAccessReviewStatus(
        allowed=allowed, reason=None if allowed else access.refusal_message(identity, attributes)
    )
