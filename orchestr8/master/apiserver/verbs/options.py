"""What a write asks of us beside its object: dry run, and what to do with fields that the kind does not have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestr8.api import codec
from orchestr8.api.kinds import Kind
from orchestr8.api.meta import DeleteOptions, Preconditions
from orchestr8.errors import BadRequest, Invalid
from orchestr8.master.apiserver.formats import bodies
from orchestr8.master.apiserver.messages import Headers, Query, Request

_WARNINGS_AT_MOST = 32
_WARNING_CHARS = 512


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """``validation``: Strict, Warn or Ignore."""

    dry_run: bool
    validation: str

    def unknown(self, kind: Kind, unknown: Iterable[str], duplicates: Iterable[str]) -> list[str]:
        """The warnings to send for fields that are not the kind's, or given twice. Raises BadRequest when Strict."""
        found = [f'unknown field "{path}"' for path in unknown]
        found += [f'duplicate field "{path}"' for path in duplicates]
        if found and self.validation == "Strict":
            raise BadRequest(
                f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
                f"strict decoding error: {', '.join(found[:_WARNINGS_AT_MOST])}"
            )
        return found if self.validation == "Warn" else []


def write_options(query: Query) -> WriteOptions:
    """Raises Invalid for values that are none of Kubernetes'."""
    validation = query.text("fieldValidation") or "Warn"
    if validation not in ("Strict", "Warn", "Ignore"):
        raise Invalid(f"fieldValidation: {validation[:40]!r} is not one of Ignore, Strict, Warn")
    return WriteOptions(_dry_run(query.every("dryRun")), validation)


async def delete_options(request: Request) -> tuple[DeleteOptions, bool]:
    """(the options of a DELETE, whether it is a dry run); the body's win over the query's."""
    query = request.query
    options = DeleteOptions()
    if request.body:
        options = codec.from_builtins("DeleteOptions", await bodies.read_object(request))
    policy = query.text("propagationPolicy") or None
    orphan = query.flag("orphanDependents") if query.text("orphanDependents") else None
    query_revision = query.text("preconditions.resourceVersion") or None
    preconditions = options.preconditions or (
        Preconditions(resource_version=query_revision) if query_revision else None
    )
    merged = DeleteOptions(
        grace_period_seconds=(
            query.number("gracePeriodSeconds") if options.grace_period_seconds is None else options.grace_period_seconds
        ),
        propagation_policy=options.propagation_policy or policy,
        orphan_dependents=orphan if options.orphan_dependents is None else options.orphan_dependents,
        preconditions=preconditions,
    )
    return merged, _dry_run((*query.every("dryRun"), *options.dry_run))


def warning_headers(warnings: Iterable[str]) -> Headers:
    """RFC 7234 ``Warning`` headers as kubectl prints them; what cannot stand in a header is left out."""
    found: list[tuple[str, str]] = []
    for warning in list(warnings)[:_WARNINGS_AT_MOST]:
        text = "".join(char if " " <= char <= "~" else "?" for char in warning)[:_WARNING_CHARS]
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        found.append(("warning", f'299 - "{escaped}"'))
    return tuple(found)


def _dry_run(values: tuple[str, ...]) -> bool:
    for value in values:
        if value != "All":
            raise Invalid(f"dryRun: {value[:40]!r} is not supported: the only value is All")
    return bool(values)
