"""A ``Status`` from the API as an error of errors.py. Pure. The mirror of master/apiserver/statuses.py."""

from __future__ import annotations

import json
from typing import Any

from orchestr8 import errors
from orchestr8.errors import Cause, Invalid, Orchestr8Error, TooManyRequests

_BY_REASON: dict[str, type[Orchestr8Error]] = {
    "AlreadyExists": errors.AlreadyExists,
    "Conflict": errors.Conflict,
    "Timeout": errors.OutcomeUnknown,
    "ServiceUnavailable": errors.Unavailable,
    "Expired": errors.Expired,
}
_BY_CODE: dict[int, type[Orchestr8Error]] = {
    400: errors.BadRequest,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    410: errors.Expired,
    413: errors.LimitExceeded,
    503: errors.Unavailable,
    504: errors.OutcomeUnknown,
    507: errors.LimitExceeded,
}


def from_response(code: int, body: bytes) -> Orchestr8Error:
    """The error that an answer with an HTTP code of 400 or more stands for."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    status = document if isinstance(document, dict) and document.get("kind") == "Status" else {}
    message = str(status.get("message") or f"the server answered HTTP {code}: {body[:200].decode(errors='replace')}")
    return from_status({**status, "message": message, "code": status.get("code") or code})


def from_status(status: dict[str, Any]) -> Orchestr8Error:
    message, code = str(status.get("message", "")), int(status.get("code") or 500)
    details = status.get("details") or {}
    if code == 422:
        causes = [
            Cause(str(cause.get("field", "")), str(cause.get("message", "")), str(cause.get("reason", "")))
            for cause in details.get("causes") or ()
        ]
        return Invalid(message, tuple(causes))
    if code == 429:
        return TooManyRequests(message, int(details.get("retryAfterSeconds") or 1))
    cls = _BY_REASON.get(str(status.get("reason"))) or _BY_CODE.get(code, Orchestr8Error)
    return cls(message)
