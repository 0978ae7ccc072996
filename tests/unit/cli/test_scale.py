"""`orchestr8 scale --current`: only another number of replicas is a conflict, not a status that moves."""

from __future__ import annotations

from typing import Any

import pytest

from orchestr8.cli.verbs.scale import _scale
from orchestr8.errors import Conflict


class Api:
    """A Deployment whose status changes between look and write ``moves`` times; then it has ``then`` replicas."""

    def __init__(self, moves: int, then: int = 1) -> None:
        self.moves, self.replicas, self.then, self.revision = moves, 1, then, 1

    def get(self, path: str) -> dict[str, Any]:
        return {"spec": {"replicas": self.replicas}, "metadata": {"resourceVersion": str(self.revision)}}

    def request(self, method: str, path: str, body: dict[str, Any], content_type: str) -> None:
        if self.moves:
            self.moves, self.revision, self.replicas = self.moves - 1, self.revision + 1, self.then
        if body["metadata"]["resourceVersion"] != str(self.revision):
            raise Conflict("the object has been modified")
        self.replicas = body["spec"]["replicas"]


class Cluster:
    def __init__(self, api: Api) -> None:
        self.api = api

    def path(self, item: Any, subresource: str) -> str:
        return "/scale"


class Item:
    text = "deployment.apps/web"


def test_a_status_that_moves_is_looked_at_again() -> None:
    api = Api(moves=3)
    _scale(Cluster(api), Item(), 3, current=1)  # type: ignore[arg-type]
    assert api.replicas == 3


def test_another_number_of_replicas_is_a_conflict() -> None:
    api = Api(moves=1, then=2)
    with pytest.raises(Conflict, match="has 2 replicas, not 1"):
        _scale(Cluster(api), Item(), 3, current=1)  # type: ignore[arg-type]
    assert api.replicas == 2
