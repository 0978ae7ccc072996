"""A cluster of real processes in a lab, set up the way an operator does: with the command line.

    with lab_of("m1", "m2", "m3", "w1", "w2", registry=True) as lab, Cluster(lab, ["m1", ...], ["w1", ...]) as cluster:
        registry.start(lab); cluster.start_masters(); cluster.start_workers()
        cluster.cli("get", "pods"); cluster.kubectl("get", "pods"); cluster.api.items(PODS)

The client of all three is on the segment, on none of the hosts. Each role logs to ``lab.folder/HOST-ROLE.log``;
the last lines of all are printed when the block ends with an error.
"""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.cluster.api import NODES, Api, is_ready, until
from tests.cluster.lab import Host, HostProcess, Lab, LabFailed
from tests.cluster.lab.inside import Inside

BIN = Path(sys.executable).parent
ORCHESTR8, KUBECTL = str(BIN / "orchestr8"), str(BIN / "kubectl")
API_PORT, RPC_PORT = 6443, 7443
_JOIN_LINE = re.compile(r"orchestr8 (join \S+ \S+.*)")


class Cluster:
    """``masters``, ``workers``: the lab's hosts. ``kubeconfig``: of the administrator, naming every master.
    ``inside``: runs functions on the segment, where clients are."""

    def __init__(self, lab: Lab, masters: Sequence[str], workers: Sequence[str]) -> None:
        self.lab = lab
        self.masters = [lab[name] for name in masters]
        self.workers = [lab[name] for name in workers]
        self.kubeconfig = lab.folder / "admin.kubeconfig"
        self.processes: dict[str, HostProcess] = {}  # by host and role: m1-master, w1-worker
        self.inside = Inside(lab.segment)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(f"\nwhat the processes said last:\n{self.logs()}", file=sys.stderr)
        self.inside.__exit__(kind, error, trace)

    # -- life ---------------------------------------------------------------------------------------

    def start_masters(self) -> None:
        """Makes the CA on the first, joins the others, starts all; returns when one leads and the API answers."""
        first, *others = self.masters
        members = [f"--member={host.name}={host.ip}:{RPC_PORT}" for host in others]
        init = [ORCHESTR8, "master", "init", f"--name={first.name}", f"--address={first.ip}", *members]
        printed = first.run(init).stdout
        self.start_master(first.name)
        self._wait_listening(first)
        lines = [line for line in _JOIN_LINE.findall(printed) if "--master" in line]
        for host, line in zip(others, lines, strict=True):
            self._join(host, line)
            self.start_master(host.name)
        self.kubeconfig.write_text(first.run([ORCHESTR8, "kubeconfig"]).stdout)
        self.kubeconfig.chmod(0o600)
        self.api = Api(self.inside, self.kubeconfig)
        until("the API answers", lambda: self.api.items(NODES), holds=lambda _: True)
        self.wait_masters()

    def start_workers(self) -> None:
        """Joins all with a token each and starts them; returns when all nodes are ready."""
        for host in self.workers:
            line = self.cli("token", "create", f"--address={self.masters[0].ip}:{RPC_PORT}")
            self._join(host, _JOIN_LINE.findall(line)[0])
            self.start_worker(host.name)
        self.wait_nodes()

    def start_master(self, name: str) -> None:
        """On a host that was set up before."""
        self._start(name, "master")

    def start_worker(self, name: str) -> None:
        self._start(name, "worker")

    def kill(self, name: str, role: str) -> None:
        """SIGKILL for the process itself; returns when it is gone."""
        process = self.processes.pop(f"{name}-{role}")
        process.kill()
        process.wait(timeout=10)

    def mend(self) -> None:
        """Whatever was done to it: every host on, no cable cut, every role running, all nodes ready."""
        self.lab.heal()
        for host, role in [(host, "master") for host in self.masters] + [(host, "worker") for host in self.workers]:
            if not host.is_on:
                host.boot()
            process = self.processes.get(f"{host.name}-{role}")
            if process is None or process.poll() is not None:
                self._start(host.name, role)
            else:
                process.send_signal(signal.SIGCONT)
        self.wait_masters()
        self.wait_nodes()

    def wait_masters(self) -> None:
        """Until each follows the same leader and is connected to all."""
        until(
            "all masters are connected and agree on a leader",
            lambda: [self.api.at(master.ip).get("/orchestr8/v1/status") for master in self.masters],
            holds=lambda told: (
                all(status["quorum"] and all(each["connected"] for each in status["masters"]) for status in told)
                and len({status["leader"] for status in told}) == 1
            ),
            seconds=60,
        )

    def wait_nodes(self) -> None:
        """Until all workers, and nobody else, are ready nodes."""
        names = {host.name for host in self.workers}
        until(
            "all workers are ready nodes",
            lambda: {node["metadata"]["name"] for node in self.api.items(NODES) if is_ready(node)},
            holds=lambda ready: ready == names,
            seconds=60,
        )

    def leader(self) -> str:
        """The master that leads, as the masters that answer see it."""
        return str(until("a master leads", self.status, holds=lambda found: found.get("leader"))["leader"])

    # -- clients ------------------------------------------------------------------------------------

    def cli(self, *arguments: str, check: bool = True, timeout_seconds: float = 60) -> str:
        """`orchestr8 ...` as the administrator; returns what it prints to standard output."""
        return self._client(ORCHESTR8, *arguments, check=check, timeout_seconds=timeout_seconds)

    def kubectl(self, *arguments: str, check: bool = True, timeout_seconds: float = 60) -> str:
        return self._client(KUBECTL, *arguments, check=check, timeout_seconds=timeout_seconds)

    def status(self) -> dict[str, Any]:
        """As the master that answers knows it; also without a quorum."""
        return self.api.get("/orchestr8/v1/status")

    def logs(self, lines: int = 40) -> str:
        """The last lines of every role's log."""
        parts = []
        for file in sorted(self.lab.folder.glob("*-*.log")):
            tail = file.read_text(errors="replace").splitlines()[-lines:]
            parts.append("\n".join([f"--- {file.name}", *tail]))
        return "\n".join(parts)

    def _client(self, program: str, *arguments: str, check: bool, timeout_seconds: float) -> str:
        home = self.lab.folder / "client"  # caches of kubectl go with the lab
        environment = ["env", f"KUBECONFIG={self.kubeconfig}", f"HOME={home}"]
        return self.lab.outside([*environment, program, *arguments], check=check, timeout_seconds=timeout_seconds)

    # -- inside -------------------------------------------------------------------------------------

    def _join(self, host: Host, line: str) -> None:
        host.run([ORCHESTR8, *line.split()])

    def _wait_listening(self, master: Host) -> None:
        process = self.processes[f"{master.name}-master"]

        def dial() -> bool:
            if process.poll() is not None:
                raise LabFailed(f"the master on {master.name} ended with {process.returncode}: see its log")
            try:
                socket.create_connection((master.ip, RPC_PORT), timeout=1).close()
            except OSError:
                return False
            return True

        until(f"{master.name} listens", lambda: self.inside(dial), holds=bool)

    def _start(self, name: str, role: str) -> None:
        with (self.lab.folder / f"{name}-{role}.log").open("ab") as log:
            self.processes[f"{name}-{role}"] = self.lab[name].popen(
                [ORCHESTR8, role], stdout=log, stderr=subprocess.STDOUT
            )
