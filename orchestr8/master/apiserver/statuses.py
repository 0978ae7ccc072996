"""Errors and acknowledgements as Kubernetes' ``Status`` object: one table from our error codes to HTTP and reason.

Clients act on ``code`` and ``reason``, people read ``message``, and ``details.causes`` names each field that is wrong.
Source: Kubernetes API conventions, "Response Status Kind".
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from orchestr8 import errors
from orchestr8.api import codec
from orchestr8.api.meta import Status, StatusCause, StatusDetails
from orchestr8.errors import Invalid, Orchestr8Error, TooManyRequests
from orchestr8.master.apiserver.messages import Headers, Refusal, Response

_BY_CODE: dict[str, tuple[int, str]] = {
    errors.BadRequest.code: (400, "BadRequest"),
    errors.Unauthenticated.code: (401, "Unauthorized"),
    errors.Forbidden.code: (403, "Forbidden"),
    errors.NotFound.code: (404, "NotFound"),
    errors.AlreadyExists.code: (409, "AlreadyExists"),
    errors.Conflict.code: (409, "Conflict"),
    errors.Expired.code: (410, "Expired"),
    errors.Invalid.code: (422, "Invalid"),
    errors.TooManyRequests.code: (429, "TooManyRequests"),
    errors.Unavailable.code: (503, "ServiceUnavailable"),
    errors.NotLeader.code: (503, "ServiceUnavailable"),
    errors.OutcomeUnknown.code: (504, "Timeout"),
    errors.DeadlineExceeded.code: (504, "Timeout"),
    errors.LimitExceeded.code: (507, "InsufficientStorage"),
}
_RETRY_AFTER_SECONDS = {503: 1, 504: 1}


@dataclass(frozen=True, slots=True)
class About:
    """Which object a Status speaks of; any part may be unknown. ``kind``: the resource's plural, as in Kubernetes."""

    name: str = ""
    group: str = ""
    kind: str = ""
    uid: str = ""


NOTHING = About()


def status_of(error: Orchestr8Error, about: About = NOTHING) -> Status:
    """The Status that tells a client of ``error``; an error without a row in the table is an InternalError."""
    if isinstance(error, Refusal):
        code, reason = error.status, error.reason
    else:
        code, reason = _BY_CODE.get(error.code, (500, "InternalError"))
    causes: tuple[StatusCause, ...] = ()
    if isinstance(error, Invalid):
        causes = tuple(
            StatusCause(field=cause.field, message=cause.message, reason=cause.reason) for cause in error.causes
        )
    retry = error.retry_after_seconds if isinstance(error, TooManyRequests) else _RETRY_AFTER_SECONDS.get(code)
    return Status(
        status="Failure",
        message=error.message,
        reason=reason,
        code=code,
        details=_details(about, causes, retry),
    )


def refusal(error: Orchestr8Error, about: About = NOTHING) -> Response:
    status = status_of(error, about)
    headers: Headers = ()
    if status.details is not None and status.details.retry_after_seconds is not None:
        headers = (("retry-after", str(status.details.retry_after_seconds)),)
    if status.code == 401:
        headers = (("www-authenticate", 'Bearer realm="orchestr8"'),)
    return Response(status.code or 500, codec.encode(status), headers=headers)


def success(about: About = NOTHING, code: int = 200) -> Response:
    """What a DELETE answers when the object is gone, and a subresource that has nothing else to say."""
    status = Status(status="Success", code=code if code != 200 else None, details=_details(about, (), None))
    return Response(code, codec.encode(status))


def _details(about: About, causes: tuple[StatusCause, ...], retry_after_seconds: int | None) -> StatusDetails | None:
    details = StatusDetails(
        name=about.name or None,
        group=about.group or None,
        kind=about.kind or None,
        uid=about.uid or None,
        causes=causes,
        retry_after_seconds=retry_after_seconds,
    )
    return details if msgspec.to_builtins(details) else None
