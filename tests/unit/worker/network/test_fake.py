"""The network in memory keeps the promises of the real one that its users rely on."""

from __future__ import annotations

import pytest

from orchestr8.worker.network.base import NetworkFailed, PodNetwork
from orchestr8.worker.network.fake import FakeNetwork
from orchestr8.worker.network.kernel import KernelNetwork


def test_fake_and_real_serve_the_same_verbs() -> None:
    networks: list[PodNetwork] = [FakeNetwork()]
    assert networks
    verbs = {name for name in vars(PodNetwork) if not name.startswith("_")}
    assert all(callable(getattr(KernelNetwork, verb)) and callable(getattr(FakeNetwork, verb)) for verb in verbs)


async def test_links_are_found_by_uid_go_with_their_sandbox_and_never_share_an_address() -> None:
    network = FakeNetwork()
    await network.open("10.77.0.11", "10.70.1.0/24", "10.96.0.0/16")
    await network.attach("a", 7, "10.70.1.5")
    await network.attach("a", 8, "10.70.1.5")
    with pytest.raises(NetworkFailed, match=r"10\.70\.1\.5 belongs to pod a"):
        await network.attach("b", 9, "10.70.1.5")
    await network.attach("b", 9, "10.70.1.6")
    assert await network.attached() == {"a": "10.70.1.5", "b": "10.70.1.6"}
    network.lose(8)
    await network.detach("b")
    await network.detach("b")
    assert await network.attached() == {}
