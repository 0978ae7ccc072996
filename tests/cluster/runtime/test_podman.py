"""The runtime on a real Podman, on a host of its own."""

from __future__ import annotations

import json
import sys

from tests.cluster.lab import Host
from tests.cluster.runtime.conftest import ROOT, SOCKET, RunInside


def test_podman_keeps_the_contract_that_the_fake_keeps(run_inside: RunInside) -> None:
    run_inside("tests/unit/worker/runtime/test_contract.py")


def test_what_only_a_real_podman_can_show(run_inside: RunInside) -> None:
    run_inside("tests/cluster/runtime/inside/real.py")


def test_the_whole_agent_on_podman_and_the_kernels_network(run_inside: RunInside) -> None:
    run_inside("tests/cluster/runtime/inside/node.py")


def test_after_a_power_cut_a_container_counts_as_ended_and_its_sandbox_starts_again(podman_host: Host) -> None:
    def step(name: str) -> dict[str, object]:
        command = [sys.executable, "-m", "tests.cluster.runtime.inside.power", name, SOCKET]
        found = json.loads(podman_host.run(command, cwd=str(ROOT)).stdout)
        assert isinstance(found, dict)
        return found

    before = step("start")
    assert before["phase"] == "running"
    podman_host.power_off()
    podman_host.boot()
    after = step("look")
    assert after["id"] == before["id"]
    assert (after["phase"], after["exit_code"], after["network_pid"]) == ("exited", -1, 0)
    again = step("again")
    assert again["phase"] == "running"
