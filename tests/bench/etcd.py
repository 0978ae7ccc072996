"""Three members of Debian's etcd in a lab of their own, measured in the same run: what the masters stand beside.

Its clients speak gRPC; here the writes go through its JSON gateway in the same process, which costs it something, and
without TLS, which saves it something. The published figures were made with its own client.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.bench import wrk
from tests.bench.figures import Series
from tests.bench.machine import cpu_percent, memory_mb
from tests.bench.writers import Open, writing
from tests.cluster.api import Unreachable, until
from tests.cluster.lab import Host, HostProcess, Lab
from tests.cluster.lab.inside import Inside

NAMES = ("e1", "e2", "e3")
_CLIENT_PORT, _PEER_PORT = 2379, 2380
_VALUE = base64.b64encode(b"x" * 256).decode()
_CLIENT_TIMEOUT_SECONDS = 0.5  # a proposal that went to a dead leader is never answered: clients must give up


def measure(writers: tuple[int, ...], seconds: float, kills: int, idle_seconds: float) -> dict[str, Series]:
    """By name: ``writes N``, ``killed``, ``memory``, ``cpu``."""
    with Lab(hosts=NAMES) as lab, Inside(lab.segment) as inside:
        members = _Members(lab, inside)
        members.start()
        found = {"memory": Series("etcd member", [memory_mb(pid)["pss"] for pid in members.pids().values()])}
        time.sleep(2)
        found["cpu"] = Series("etcd member", list(cpu_percent(members.pids(), idle_seconds).values()))
        for count in writers:
            rate = wrk.run(lab, _put(members.leader()), count, seconds).per_second
            found[f"writes {count}"] = Series("etcd, JSON gateway", [rate])
        found["killed"] = Series("etcd", [members.kill_the_leader() for _ in range(kills)])
        return found


class _Members:
    def __init__(self, lab: Lab, inside: Inside) -> None:
        self._lab = lab
        self._inside = inside
        self._processes: dict[str, HostProcess] = {}

    def start(self) -> None:
        for name in NAMES:
            self._start(name)
        self.leader()

    def pids(self) -> dict[str, int]:
        return {name: process.inner_pid for name, process in self._processes.items()}

    def leader(self) -> Host:
        def leads() -> list[str]:
            found = []
            for name in self._processes:
                status = self._ask(self._lab[name].ip, "/v3/maintenance/status", {})
                if status.get("leader") == status["header"]["member_id"]:
                    found.append(name)
            return found

        (name,) = until("etcd has a leader", leads, holds=lambda names: len(names) == 1)
        return self._lab[name]

    def kill_the_leader(self) -> float:
        leader = self.leader()
        survivors: list[Open] = [partial(self._writer, self._lab[name].ip) for name in NAMES if name != leader.name]
        with writing(survivors) as writers:
            killed = time.monotonic()
            process = self._processes.pop(leader.name)
            process.kill()
            process.wait(timeout=10)
            seconds = writers.longest_silence(killed)[1] - killed
        self._start(leader.name)
        until("all members answer", self._answers, holds=lambda count: count == len(NAMES))
        return seconds

    def _answers(self) -> int:
        return sum("leader" in self._ask(self._lab[name].ip, "/v3/maintenance/status", {}) for name in NAMES)

    def _start(self, name: str) -> None:
        host = self._lab[name]
        peer, client = f"http://{host.ip}:{_PEER_PORT}", f"http://{host.ip}:{_CLIENT_PORT}"
        cluster = ",".join(f"{each}=http://{self._lab[each].ip}:{_PEER_PORT}" for each in NAMES)
        command = ["etcd", "--name", name, "--data-dir", "/var/lib/etcd-bench", "--initial-cluster", cluster]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        command += ["--listen-client-urls", client, "--advertise-client-urls", client]
        with (self._lab.folder / f"{name}-etcd.log").open("ab") as log:
            self._processes[name] = host.popen(command, stdout=log, stderr=subprocess.STDOUT)

    @contextmanager
    def _writer(self, ip: str) -> Iterator[Callable[[int], object]]:
        connection = self._connect(ip)
        body = json.dumps({"key": base64.b64encode(ip.encode()).decode(), "value": _VALUE})
        try:
            yield lambda _: _exchange(connection, "/v3/kv/put", body)
        finally:
            connection.close()

    def _ask(self, ip: str, path: str, body: object) -> dict[str, Any]:
        try:
            connection = self._connect(ip)
            try:
                found: dict[str, Any] = json.loads(_exchange(connection, path, json.dumps(body)))
                return found
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{ip}: {error!r}") from error

    def _connect(self, ip: str) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(ip, _CLIENT_PORT, timeout=_CLIENT_TIMEOUT_SECONDS)
        connection.sock = self._inside(socket.create_connection, (ip, _CLIENT_PORT), _CLIENT_TIMEOUT_SECONDS)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def _put(host: Host) -> wrk.Load:
    # "key00" and three digits are base64 as they stand.
    body = f'{{"key": "key00@", "value": "{_VALUE}"}}'
    headers = (("Content-Type", "application/json"),)
    return wrk.Load(f"http://{host.ip}:{_CLIENT_PORT}", "POST", "/v3/kv/put", body, headers)


def _exchange(connection: http.client.HTTPConnection, path: str, body: str) -> bytes:
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    data = answer.read()
    if answer.status != 200:
        raise OSError(f"{answer.status}: {data[:200]!r}")
    return data
