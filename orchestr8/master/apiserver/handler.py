"""One request to one answer, without a socket in sight: who asks, what is asked, may he, then the verb's own file.

Every error becomes a Status here. An error that nobody foresaw is logged, counted and answered with 500: a request is
what a stranger sends, and one that finds a bug must not be able to end master after master.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import trio

from orchestr8 import limits
from orchestr8.errors import DeadlineExceeded, NotFound, Orchestr8Error, Unavailable
from orchestr8.logs import get_logger
from orchestr8.master.apiserver import access
from orchestr8.master.apiserver.access import Attributes
from orchestr8.master.apiserver.auth import identify
from orchestr8.master.apiserver.deps import ApiDeps, Identity
from orchestr8.master.apiserver.discovery import discover
from orchestr8.master.apiserver.fairness import Lanes
from orchestr8.master.apiserver.messages import (
    TEXT,
    Answer,
    ClientGone,
    Request,
    Response,
)
from orchestr8.master.apiserver.metrics import Metrics
from orchestr8.master.apiserver.routes import NOT_HERE, Target, resource_target, verb_of
from orchestr8.master.apiserver.statuses import NOTHING, refusal
from orchestr8.master.apiserver.verbs import lists, reviews, streams
from orchestr8.master.apiserver.verbs.objects import Objects
from orchestr8.master.apiserver.verbs.selection import selection
from orchestr8.master.apiserver.verbs.subresources import Subresources
from orchestr8.master.apiserver.verbs.watch import Watches


class ApiHandler:
    """The API of one master. ``handle`` is all that a transport, a simulation or a test needs."""

    def __init__(self, deps: ApiDeps) -> None:
        self._deps = deps
        self._objects = Objects(deps)
        self._subresources = Subresources(deps, self._objects)
        self._watches = Watches(deps)
        self._lanes = Lanes()
        self._metrics = Metrics()

    async def handle(self, request: Request) -> Answer:
        """Never raises for what a request says. A stream in the answer may raise Orchestr8Error and ClientGone."""
        target: Target | None = None
        try:
            with trio.fail_after(limits.HTTP_REQUEST_SECONDS):
                identity = identify(request, self._deps.verifier)
                target = resource_target(request.path)
                if target is None:
                    answer = await self._path(request, identity)
                else:
                    answer = await self._resource(request, target, identity)
        except Orchestr8Error as error:
            answer = refusal(error, target.about if target is not None else NOTHING)
        except trio.TooSlowError:
            late = DeadlineExceeded(
                f"no answer within {limits.HTTP_REQUEST_SECONDS} s; a write may have been done: read before you repeat"
            )
            answer = refusal(late, target.about if target is not None else NOTHING)
        except Exception as error:  # noqa: BLE001 - see the head of this file
            answer = refusal(self._unforeseen(request, error))
        self._metrics.answered(request.method, getattr(answer, "status", 101))
        return self._guarded(request, answer)

    def gate(self, request: Request) -> None:
        """Whether the body of ``request``, which is not read yet, is worth reading. Raises Unauthenticated."""
        identify(request, self._deps.verifier)

    # -- resources ------------------------------------------------------------------------------------

    async def _resource(self, request: Request, target: Target, identity: Identity) -> Answer:
        verb = verb_of(request, target)
        asked = Attributes(
            verb="create" if target.subresource == "exec" else verb,
            group=target.kind.group,
            resource=target.kind.plural,
            subresource=target.subresource,
            namespace=target.namespace,
            name=target.name,
            node_selected=_node_selected(target, verb, request),
        )
        access.check(identity, asked, self._deps.store.view())
        if not target.kind.stored:
            return await reviews.review(target, request, identity, self._deps.store.view())
        with self._lanes.enter(identity.user, reading=verb in ("get", "list")):
            return await self._verb(request, target, verb)

    async def _verb(self, request: Request, target: Target, verb: str) -> Answer:
        match target.subresource, verb:
            case "", "list":
                return await lists.list_collection(self._deps, target, request)
            case "", "watch":
                return self._watches.answer(target, request)
            case "", "create":
                return await self._objects.create(target, request)
            case "", "deletecollection":
                return await self._objects.delete_collection(target, request)
            case "", "delete":
                return await self._objects.delete(target, request)
            case "scale", "get":
                return await self._subresources.get_scale(target)
            case "scale", _:
                return await self._subresources.change_scale(target, request)
            case "binding", _:
                return await self._subresources.bind(target, request)
            case "eviction", _:
                return await self._subresources.evict(target, request)
            case "log", _:
                return await streams.logs(self._deps, target, request)
            case "exec", _:
                return await streams.execute(self._deps, target, request)
            case (("" | "status"), "get"):
                return await self._objects.get(target, request)
            case (("" | "status" | "finalize"), "update"):
                return await self._objects.update(target, request)
            case (("" | "status"), "patch"):
                return await self._objects.patch(target, request)
        raise NotFound(NOT_HERE)

    # -- other paths ----------------------------------------------------------------------------------

    async def _path(self, request: Request, identity: Identity) -> Answer:
        asked = Attributes(
            verb="get" if request.method in ("GET", "HEAD") else request.method.lower(), path=request.path
        )
        access.check(identity, asked, self._deps.store.view())
        if asked.verb != "get":
            raise NotFound(NOT_HERE)
        match [part for part in request.path.split("/") if part]:
            case ["healthz" | "livez", *_]:
                return Response(body=b"ok", content_type=TEXT)
            case ["readyz", *_]:
                if reason := self._deps.ready_fn():
                    raise Unavailable(reason)
                return Response(body=b"ok", content_type=TEXT)
            case ["metrics"]:
                text = self._metrics.text(self._deps.store.revision, self._watches.count)
                return Response(body=text.encode(), content_type=TEXT)
            case ["orchestr8", "v1", "status"]:
                return Response(body=_plain_json(self._deps.status_fn()))
            case ["orchestr8", "v1", "why", namespace, pod]:
                await self._deps.store.read_barrier()
                return Response(body=_plain_json(self._deps.why_fn(namespace, pod)))
            case []:
                return Response(body=_plain_json({"paths": list(_PATHS)}))
        found = discover(request)
        if found is None:
            raise NotFound(NOT_HERE)
        return found

    # -- bugs -----------------------------------------------------------------------------------------

    def _guarded(self, request: Request, answer: Answer) -> Answer:
        """Streams go on after ``handle``: their bugs are answered for as well."""
        if isinstance(answer, Response):
            return answer
        return dataclasses.replace(answer, run=self._guard(request, answer.run))

    def _guard(self, request: Request, run: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
        async def guarded(client: Any) -> None:
            try:
                await run(client)
            except (Orchestr8Error, ClientGone):
                raise
            except Exception as error:
                raise self._unforeseen(request, error) from error

        return guarded

    def _unforeseen(self, request: Request, error: Exception) -> Orchestr8Error:
        self._metrics.unforeseen += 1
        get_logger().error("unforeseen error", method=request.method, path=request.path, exc_info=error)
        return Orchestr8Error("an internal error occurred; the master's log has the details")


_PATHS = (
    "/api",
    "/apis",
    "/healthz",
    "/livez",
    "/metrics",
    "/openapi/v3",
    "/orchestr8/v1/status",
    "/readyz",
    "/version",
)


def _plain_json(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _node_selected(target: Target, verb: str, request: Request) -> str:
    if target.kind.kind == "Pod" and verb in ("list", "watch"):
        return selection(target, request.query).equals("spec.nodeName")
    return ""
