"""Three masters under systemd: joined by root's hand, run by a user without rights, handing over on a stop.

They share one machine, each with an address and a unit of its own that is the installed one but for names.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.install.machine import ADDRESS, Machine

MASTERS = {"m1": ADDRESS, "m2": "10.9.0.2", "m3": "10.9.0.3"}
CONFIG_MAP = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"}}'


@pytest.fixture(scope="module")
def masters(machine: Machine) -> Machine:
    machine.run("orchestr8", "install")
    for name, address in MASTERS.items():
        if address != ADDRESS:
            machine.run("ip", "address", "add", f"{address}/24", "dev", "uplink")
        _give_unit(machine, name, address)
    machine.run("systemctl", "daemon-reload")
    members = [f"--member={name}={address}:7443" for name, address in MASTERS.items() if name != "m1"]
    places = ("--data-dir", "/var/lib/orchestr8/m1", "--config", "/etc/orchestr8/m1/master.toml")
    said = machine.text("orchestr8", "master", "init", "--name", "m1", "--address", ADDRESS, *members, *places)
    machine.run("systemctl", "start", "--no-block", "orchestr8-m1")
    printed = re.findall(r"orchestr8 (join \S+ \S+) --master --name (m\d)", said)
    assert [name for _, name in printed] == ["m2", "m3"]
    _join(machine, "m2", printed[0][0])
    # The line for m3 got lost: another one is made while the first master runs.
    line = machine.text("orchestr8", "token", "for-member", "m3", *places)
    _join(machine, "m3", line.removeprefix("orchestr8 "))
    for name in ("m2", "m3"):
        machine.run("systemctl", "start", f"orchestr8-{name}")
    machine.wait_for("a quorum", lambda: _status(machine)["quorum"])
    return machine


def test_masters_that_joined_by_the_printed_lines_serve_as_their_own_user(masters: Machine) -> None:
    assert [master["name"] for master in _status(masters)["masters"]] == list(MASTERS)
    for name in MASTERS:
        masters.wait_for(f"{name} is active", lambda: masters.shown(f"orchestr8-{name}", "ActiveState") == _ACTIVE)  # noqa: B023
        assert masters.text("find", f"/var/lib/orchestr8/{name}", "!", "-user", "orchestr8") == ""
    masters.run("orchestr8", "apply", "-f", "-", input=CONFIG_MAP % "before")


def test_a_leader_that_is_stopped_hands_over_first(masters: Machine) -> None:
    before = _status(masters)
    leader = before["leader"]
    masters.run("systemctl", "stop", f"orchestr8-{leader}")
    terms = [int(term) for term in re.findall(r'"term": (\d+)', masters.journal([f"orchestr8-{leader}"]))]
    assert terms[-1] > before["term"], "it ended without having heard of the next term"
    after = _status(masters)
    assert after["quorum"]
    assert after["leader"] not in (leader, None)
    masters.run("orchestr8", "apply", "-f", "-", input=CONFIG_MAP % "after")
    masters.run("systemctl", "start", f"orchestr8-{leader}")
    masters.wait_for("all are there again", lambda: all(each["connected"] for each in _status(masters)["masters"]))


def test_a_master_that_lost_its_disk_comes_back_with_a_new_token(masters: Machine) -> None:
    lost = next(each["name"] for each in _status(masters)["masters"] if each["role"] == "follower")
    masters.run("systemctl", "kill", "--signal=KILL", f"orchestr8-{lost}")
    masters.run("systemctl", "stop", f"orchestr8-{lost}")
    masters.run("rm", "-r", f"/var/lib/orchestr8/{lost}")
    _join(masters, lost, masters.text("orchestr8", "token", "create", "--role", "master").removeprefix("orchestr8 "))
    masters.run("systemctl", "start", f"orchestr8-{lost}")
    assert masters.shown(f"orchestr8-{lost}", "StatusText")["StatusText"].startswith("following ")
    # It holds what was written before its new disk.
    server = f"https://{MASTERS[lost]}:6443"
    config = masters.text(
        "orchestr8", "kubeconfig", "--server", server, "--config", f"/etc/orchestr8/{lost}/master.toml"
    )
    masters.write("/root/lost.yaml", config, mode="600")
    masters.run("orchestr8", "get", "configmap", "before", "--kubeconfig", "/root/lost.yaml")


_ACTIVE = {"ActiveState": "active"}


def _give_unit(machine: Machine, name: str, address: str) -> None:
    text = machine.text("cat", "/etc/systemd/system/orchestr8-master.service")
    settings = f"--config /etc/orchestr8/{name}/master.toml --set master.listen={address}"
    text = text.replace("orchestr8/master", f"orchestr8/{name}").replace(
        "orchestr8 master", f"orchestr8 master {settings}"
    )
    machine.write(f"/etc/systemd/system/orchestr8-{name}.service", text)
    machine.write(f"/etc/orchestr8/{name}/master.toml", "")


def _join(machine: Machine, name: str, line: str) -> None:
    places = ["--data-dir", f"/var/lib/orchestr8/{name}", "--config-dir", f"/etc/orchestr8/{name}"]
    words = [
        *line.partition(" --master")[0].split(),
        "--master",
        "--name",
        name,
        "--own-address",
        MASTERS[name],
        *places,
    ]
    machine.wait_for(f"{name} joins", lambda: machine.run("orchestr8", *words, check=False).returncode in (0, 4))


def _status(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(machine.text("orchestr8", "status", "-o", "json"))
    return found
