"""What a node may say in events: only of itself and of the pods bound to it. Pure."""

from __future__ import annotations

from typing import Annotated

import msgspec

from orchestr8.api.node import Node
from orchestr8.api.pod import Pod
from orchestr8.errors import Forbidden
from orchestr8.master.events import Regarding, Said
from orchestr8.store.view import View

_EVENTS_PER_CALL = 200


class EventsParams(msgspec.Struct, frozen=True):
    """Params of ``node.events``."""

    events: Annotated[tuple[Said, ...], msgspec.Meta(max_length=_EVENTS_PER_CALL)] = ()


def check_own(view: View, node: str, regarding: Regarding) -> bool:
    """Whether the object is still there to speak of. Raises Forbidden when it is not the node's to speak of."""
    if regarding.kind == "Node" and regarding.name == node:
        return view.get(Node, "", node) is not None
    if regarding.kind != "Pod":
        raise Forbidden(f"node {node} may only report events about itself and its pods, not about {regarding.kind}")
    pod = view.get(Pod, regarding.namespace, regarding.name)
    if pod is None or pod.metadata.uid != regarding.uid:
        return False
    if pod.spec.node_name != node:
        raise Forbidden(f"pod {regarding.namespace}/{regarding.name} is not bound to node {node}")
    return True
