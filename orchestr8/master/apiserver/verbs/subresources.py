"""The subresources that are more than a part of their object: scale, binding and eviction.

Binding is how a scheduler places a pod: once. Eviction is a delete that a drain asks for, so that budgets can refuse
it later. Scale is a workload's replica count for whoever need not know the workload. Source: Kubernetes API reference.
"""

from __future__ import annotations

from typing import Any

import msgspec

from orchestr8.api import codec, selectors, validation
from orchestr8.api import patch as patches
from orchestr8.api.meta import DeleteOptions, Object, ObjectMeta, with_metadata
from orchestr8.api.pod import Binding, Eviction, Pod, PodCondition
from orchestr8.api.workloads import Scale, ScaleSpec, ScaleStatus
from orchestr8.clock import to_seconds
from orchestr8.errors import BadRequest, Conflict, Invalid
from orchestr8.master.apiserver.admission import check_preconditions
from orchestr8.master.apiserver.deps import ApiDeps
from orchestr8.master.apiserver.formats import bodies
from orchestr8.master.apiserver.messages import Request, Response
from orchestr8.master.apiserver.routes import Target
from orchestr8.master.apiserver.statuses import success
from orchestr8.master.apiserver.verbs import writes
from orchestr8.master.apiserver.verbs.objects import Objects, patch_type
from orchestr8.master.apiserver.verbs.options import warning_headers, write_options
from orchestr8.store.view import View


class Subresources:
    def __init__(self, deps: ApiDeps, objects: Objects) -> None:
        self._deps = deps
        self._objects = objects

    async def get_scale(self, target: Target) -> Response:
        await self._deps.store.read_barrier()
        stored = await writes.fresh(self._deps, target)
        return Response(body=codec.encode(scale_of(stored.obj)))

    async def change_scale(self, target: Target, request: Request) -> Response:
        """PUT and PATCH of /scale: only ``spec.replicas`` counts."""
        options = write_options(request.query)
        content_type = patch_type(request) if request.method == "PATCH" else ""
        body = await bodies.read_json(request.body) if content_type else await bodies.read(request)
        warnings: list[str] = []

        def decide(old: Any, view: View) -> Object:
            value = body.value
            if content_type:
                value = patches.apply_patch(content_type, Scale, codec.to_builtins(scale_of(old)), value)
            scale, unknown = codec.read("Scale", bodies.as_object(value))
            warnings[:] = options.unknown(target.kind, unknown, body.duplicates)
            check_preconditions(target, old, scale)
            causes = validation.validate_create(scale)
            if causes:
                raise Invalid(f'Scale "{target.name}" is invalid: {causes[0].field}: {causes[0].message}', causes)
            replicas = scale.spec.replicas or 0
            if replicas == old.spec.replicas:
                return old  # type: ignore[no-any-return]
            changed = msgspec.structs.replace(old, spec=msgspec.structs.replace(old.spec, replicas=replicas))
            return with_metadata(changed, generation=(old.metadata.generation or 0) + 1)  # type: ignore[no-any-return]

        written = await writes.change(self._deps, target, decide, dry_run=options.dry_run)
        return Response(body=codec.encode(scale_of(written.obj)), headers=warning_headers(warnings))

    async def bind(self, target: Target, request: Request) -> Response:
        """Raises Conflict for a pod that has a node already, or is on its way out."""
        options = write_options(request.query)
        binding: Binding = codec.from_builtins("Binding", await bodies.read_object(request))
        node = binding.target.name
        if not node or binding.target.kind not in (None, "", "Node"):
            raise Invalid("target.name: Required value: the node to place the pod on")
        if binding.metadata.name and binding.metadata.name != target.name:
            raise BadRequest(f"the binding is for {binding.metadata.name}, the URL names {target.name}")
        now = to_seconds(self._deps.clock.now())

        def decide(pod: Any, view: View) -> Object:
            check_preconditions(target, pod, binding)
            if pod.metadata.deletion_timestamp is not None:
                raise Conflict(f"pod {target.name} is being deleted, cannot be assigned to a node")
            if pod.spec.node_name:
                raise Conflict(f"pod {target.name} is already assigned to node {pod.spec.node_name}")
            return _placed(pod, node, now)

        await writes.change(self._deps, target, decide, dry_run=options.dry_run)
        return success(code=201)

    async def evict(self, target: Target, request: Request) -> Response:
        options = write_options(request.query)
        eviction: Eviction = codec.from_builtins("Eviction", await bodies.read_object(request))
        if eviction.metadata.name and eviction.metadata.name != target.name:
            raise BadRequest(f"the eviction is for {eviction.metadata.name}, the URL names {target.name}")
        how = eviction.delete_options or DeleteOptions()
        await self._objects.remove(
            Target(target.kind, target.namespace, target.name), how, dry_run=options.dry_run or bool(how.dry_run)
        )
        return success(code=201)


def scale_of(workload: Any) -> Scale:
    meta = workload.metadata
    return Scale(
        metadata=ObjectMeta(
            name=meta.name,
            namespace=meta.namespace,
            uid=meta.uid,
            resource_version=meta.resource_version,
            creation_timestamp=meta.creation_timestamp,
        ),
        spec=ScaleSpec(replicas=workload.spec.replicas or 0),
        status=ScaleStatus(
            replicas=workload.status.replicas or 0, selector=selectors.format_object(workload.spec.selector) or None
        ),
    )


def _placed(pod: Pod, node: str, now: Any) -> Pod:
    others = tuple(condition for condition in pod.status.conditions if condition.type != "PodScheduled")
    scheduled = PodCondition(type="PodScheduled", status="True", last_transition_time=now)
    placed = msgspec.structs.replace(
        pod,
        spec=msgspec.structs.replace(pod.spec, node_name=node),
        status=msgspec.structs.replace(pod.status, conditions=(*others, scheduled)),
    )
    return with_metadata(placed, generation=(pod.metadata.generation or 0) + 1)
