"""The three patches of the Kubernetes API, on plain dicts; the content type of the request chooses.

None of them knows an object's rules: the result is read, defaulted and validated like any other body.
Server-side apply will be a fourth module here, on the same shapes.
"""

from __future__ import annotations

from typing import Any

from orchestr8.api.fields import Noun
from orchestr8.api.patch.json_patch import json_patch
from orchestr8.api.patch.merge import merge_patch
from orchestr8.api.patch.strategic import strategic_merge_patch
from orchestr8.errors import BadRequest

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
CONTENT_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH)


def apply_patch(content_type: str, cls: type[Noun], target: dict[str, Any], patch: Any) -> dict[str, Any]:
    """``target``, an object of ``cls`` as a plain dict, changed by ``patch``; neither is altered.

    Raises BadRequest (the patch makes no sense, or ``content_type`` is none of CONTENT_TYPES) and Invalid (a JSON
    patch that does not fit the target, or whose test failed).
    """
    match content_type:
        case "application/json-patch+json":
            return json_patch(target, patch)
        case "application/merge-patch+json":
            if not isinstance(patch, dict):
                raise BadRequest("a merge patch must be a JSON object")
            merged: dict[str, Any] = merge_patch(target, patch)
            return merged
        case "application/strategic-merge-patch+json":
            return strategic_merge_patch(cls, target, patch)
    raise BadRequest(f"{content_type[:100]!r} is not a patch this server knows; use one of {', '.join(CONTENT_TYPES)}")


__all__ = [
    "CONTENT_TYPES",
    "JSON_PATCH",
    "MERGE_PATCH",
    "STRATEGIC_MERGE_PATCH",
    "apply_patch",
    "json_patch",
    "merge_patch",
    "strategic_merge_patch",
]
