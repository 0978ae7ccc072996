"""What a process offers on the wire, and to whom.

A handler gets the peer, whose name and roles come from its certificate, and the caller's params: what msgpack carries,
written by somebody else. ``msgspec.convert(params, Shape)`` checks them; its ValidationError is answered as BadRequest.
Errors of errors.py are answered by code; anything else is a bug and ends the process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

# Organisations (O=) in certificates of this cluster. The API server reads them as groups, as in Kubernetes.
MASTERS = "system:masters-internal"
NODES = "system:nodes"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end. Without a certificate: no name, no roles."""

    name: str
    roles: frozenset[str]
    address: str

    @property
    def short_name(self) -> str:
        """``w1`` of ``system:node:w1``: the name of the Node object, or of the master in [members]."""
        return self.name.rpartition(":")[2]


class MessageStream(Protocol):
    """The messages of one stream, as both the opener and the handler see it (live.py)."""

    async def send(self, value: Any) -> None: ...
    async def send_eof(self) -> None: ...
    async def receive(self) -> Any: ...
    def __aiter__(self) -> MessageStream: ...
    async def __anext__(self) -> Any: ...


Method = Callable[[Peer, Any], Awaitable[Any]]
StreamMethod = Callable[[Peer, Any, MessageStream], Awaitable[None]]


class Service:
    """Methods and streams by name. ``roles``: who may use them; ``public`` names the ones that need no certificate."""

    def __init__(
        self,
        methods: Mapping[str, Method] | None = None,
        streams: Mapping[str, StreamMethod] | None = None,
        *,
        roles: Iterable[str] = (MASTERS, NODES),
        public: Iterable[str] = (),
    ) -> None:
        self.methods: dict[str, Method] = dict(methods or {})
        self.streams: dict[str, StreamMethod] = dict(streams or {})
        self._roles: dict[str, frozenset[str]] = dict.fromkeys([*self.methods, *self.streams], frozenset(roles))
        self._public = set(public)

    def include(self, other: Service) -> None:
        """Offer what ``other`` offers, too, to whom it is offered there. A name may be offered once."""
        twice = sorted(self._roles.keys() & other._roles.keys())
        if twice:
            raise ValueError(f"offered twice on one connection: {', '.join(twice)}")
        self.methods.update(other.methods)
        self.streams.update(other.streams)
        self._roles.update(other._roles)
        self._public |= other._public

    def allows(self, peer: Peer, name: str) -> bool:
        return name in self._public or not peer.roles.isdisjoint(self._roles.get(name, ()))
