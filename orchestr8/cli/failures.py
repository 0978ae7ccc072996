"""From an error to what the user sees: one line, one hint what to do next, one exit code (docs/operations.md).

0 ok   1 failed   2 usage   3 not found   4 conflict   5 denied   6 unreachable   7 timed out
8 outcome unknown   9 invalid manifest   10 difference found   11 check failed   130 interrupted
"""

from __future__ import annotations

from typing import IO, Any

import click

from orchestr8 import errors
from orchestr8.errors import Invalid, Orchestr8Error

FAILED = 1
NOT_FOUND = 3
UNREACHABLE = 6
TIMED_OUT = 7
INVALID_MANIFEST = 9

# code of errors.py -> (exit code, what to do next)
_TABLE: dict[str, tuple[int, str]] = {
    errors.NotFound.code: (NOT_FOUND, "look what is there with `orchestr8 get`, in all namespaces with -A"),
    errors.AlreadyExists.code: (4, "change what is there with `orchestr8 apply`, or choose another name"),
    errors.Conflict.code: (4, "somebody else changed it meanwhile: look at it and try again"),
    errors.Expired.code: (4, "try again"),
    errors.Unauthenticated.code: (5, "fetch a fresh kubeconfig with `orchestr8 kubeconfig` on a master"),
    errors.Forbidden.code: (5, "ask somebody with the right, or choose another --context"),
    errors.Unavailable.code: (UNREACHABLE, "see which masters are up with `orchestr8 status`"),
    errors.TooManyRequests.code: (UNREACHABLE, "the cluster is busy: try again in a moment"),
    errors.DeadlineExceeded.code: (TIMED_OUT, "it may still be under way: look with `orchestr8 get`"),
    errors.OutcomeUnknown.code: (8, "it may or may not have been done: look with `orchestr8 get` before you repeat it"),
    errors.BadRequest.code: (FAILED, ""),
    errors.Invalid.code: (INVALID_MANIFEST, ""),
    "InvalidManifest": (INVALID_MANIFEST, ""),  # client/manifests.py
    errors.LimitExceeded.code: (FAILED, ""),
    errors.ConfigError.code: (2, ""),
}


class Failure(click.ClickException):
    """``hint``: what to do next, "" if the message says it."""

    def __init__(self, message: str, hint: str = "", exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(click.style("error: ", fg="red", bold=True) + self.message, err=True, file=file)
        if self.hint:
            click.echo(click.style("next:  ", fg="cyan") + self.hint, err=True, file=file)


def failure(error: Orchestr8Error, *, where: str = "") -> Failure:
    """``where``: what was being done, put before the message."""
    exit_code, hint = _TABLE.get(error.code, (FAILED, ""))
    message = f"{where}: {error.message}" if where else error.message
    if isinstance(error, Invalid):
        missing = [cause for cause in error.causes if cause.message not in error.message]
        message += "".join(f"\n  {cause.field}: {cause.message}" for cause in missing)
    return Failure(message, hint, exit_code)
