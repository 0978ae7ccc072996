"""JSON Patch, RFC 6902, through the jsonpatch library, with bounds on what a patch may blow up to."""

from __future__ import annotations

from typing import Any

import jsonpatch
import jsonpointer
import msgspec

from orchestr8.api.codec import check_depth
from orchestr8.errors import BadRequest, Invalid
from orchestr8.limits import HTTP_BODY_BYTES

OPERATIONS_MAX = 10_000
_OPERATIONS = ("add", "copy", "move", "remove", "replace", "test")


def json_patch(target: dict[str, Any], operations: Any) -> dict[str, Any]:
    """``target`` changed by a list of operations; neither is altered. Raises BadRequest and Invalid."""
    _check(operations)
    document: Any = msgspec.json.decode(msgspec.json.encode(target))
    for index, operation in enumerate(operations):
        try:
            document = jsonpatch.JsonPatch([operation]).apply(document, in_place=True)
        except jsonpatch.JsonPatchTestFailed as error:
            raise Invalid(f"operation {index}: testing path {operation['path']} failed") from error
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
            raise Invalid(f"operation {index} ({operation['op']} {operation['path']}): {error}") from error
        if operation["op"] == "copy":  # the only one that can grow a document exponentially
            _check_size(document)
    if not isinstance(document, dict):
        raise Invalid("the patch leaves no JSON object")
    check_depth(document)
    return document


def _check(operations: Any) -> None:
    if not isinstance(operations, list):
        raise BadRequest("a JSON patch must be a list of operations")
    if len(operations) > OPERATIONS_MAX:
        raise BadRequest(f"a JSON patch may have at most {OPERATIONS_MAX} operations, this one has {len(operations)}")
    for index, operation in enumerate(operations):
        if not isinstance(operation, dict):
            raise BadRequest(f"operation {index} is not an object")
        if operation.get("op") not in _OPERATIONS:
            raise BadRequest(f"operation {index}: op must be one of {', '.join(_OPERATIONS)}")
        for pointer in ("path", "from") if operation["op"] in ("copy", "move") else ("path",):
            text = operation.get(pointer)
            if not isinstance(text, str) or (text and not text.startswith("/")):
                raise BadRequest(f"operation {index}: {pointer} must be a JSON pointer such as /spec/replicas")
        if operation["op"] in ("add", "replace", "test") and "value" not in operation:
            raise BadRequest(f"operation {index}: value is missing")


def _check_size(document: Any) -> None:
    check_depth(document)
    if len(msgspec.json.encode(document)) > HTTP_BODY_BYTES:
        raise Invalid(f"the patch grows the object beyond {HTTP_BODY_BYTES} bytes")
