"""A lab: hosts on one segment without uplink, and their cables.

10.77.0.1 is the segment itself: the place of a client that is not part of the cluster (``lab.outside``). Hosts are
10.77.0.11, .12, ... in the order given; the registry is .2. Everything is named after the lab's id, so several labs
run side by side and each is taken down exactly.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.cluster.lab import cgroups, record
from tests.cluster.lab.host import Host
from tests.cluster.lab.segment import PREFIX, LabFailed, Segment, run

REGISTRY_HOST = "registry"
REGISTRY = "registry.lab:5000"
_OUTSIDE = "outside"  # the control group of what runs on the segment itself
_FAULT_TABLE = "inet lab_fault"


class Lab:
    """``with Lab(hosts=["m1", "w1"]) as lab``; all hosts are on when the block is entered.

    ``registry``: also a host named ``registry``; ``registry.start(lab)`` serves images there, and every host's
    podman knows it. ``keep``: a name under which the lab outlives this process, until
    ``python -m tests.cluster.lab down``, unless the block ends with an error.
    """

    def __init__(self, hosts: Sequence[str], *, registry: bool = False, keep: str = "") -> None:
        self._names = tuple(hosts)
        self._with_registry = registry
        self._keep = keep
        self._hosts: dict[str, Host] = {}
        self._outside: list[subprocess.Popen[Any]] = []

    # -- lifetime -----------------------------------------------------------------------------------

    def __enter__(self) -> Lab:
        record.sweep()
        self._record = record.create(self._names)
        try:
            self._build()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keep and kind is None:
            record.keep(self._record, self._keep)
        else:
            self.down()

    def down(self) -> None:
        """Takes everything down; also called at the end of the ``with`` block."""
        record.take_down(self.id)
        for host in self._hosts.values():
            host.reap()
        for process in self._outside:
            process.wait(timeout=10)

    # -- parts --------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return self._record.id

    @property
    def folder(self) -> Path:
        """On a real disk, visible in every host under the same path; gone with the lab."""
        return self._record.folder

    @property
    def hosts(self) -> list[Host]:
        return [self._hosts[name] for name in self._names]

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def outside(self, argv: Sequence[str], *, check: bool = True, timeout_seconds: float = 60) -> str:
        """Runs a command on the segment but on none of the hosts (address 10.77.0.1); returns its output."""
        done = subprocess.run(
            self.outside_command(argv), capture_output=True, text=True, timeout=timeout_seconds, check=False
        )
        if check and done.returncode != 0:
            raise LabFailed(f"outside: `{' '.join(argv)}` ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def popen_outside(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Starts a program on the segment that ends with the lab. ``options`` go to ``subprocess.Popen``; without any
        it has no standard streams."""
        join = "".join(f"echo $$ >{folder}/cgroup.procs && " for folder in cgroups.create(self.id, _OUTSIDE))
        for stream in ("stdin", "stdout", "stderr"):
            options.setdefault(stream, subprocess.DEVNULL)
        command = ["sh", "-c", f'{join}exec "$@"', "outside", *self.outside_command(argv)]
        process = subprocess.Popen(command, start_new_session=True, **options)
        self._outside.append(process)
        return process

    def outside_command(self, argv: Sequence[str]) -> list[str]:
        """The full command line for ``outside``."""
        return ["nsenter", f"--net=/run/netns/{self.segment}", "--", *argv]

    @property
    def segment(self) -> str:
        """The name of the segment's own network namespace, for ``Inside``."""
        return self._segment.netns

    # -- cables -------------------------------------------------------------------------------------

    def cut(self, a: str, b: str) -> None:
        """No packet passes between a and b, either way, until ``heal``."""
        self.cut_one_way(a, b)
        self.cut_one_way(b, a)

    def cut_one_way(self, source: str, target: str) -> None:
        """Packets from ``source`` are dropped at ``target``; the other direction still arrives there."""
        self.fault(target, f"ip saddr {self._hosts[source].ip} counter drop")

    def cut_dialling(self, source: str, target: str) -> None:
        """``source`` cannot open a connection to ``target``; those that are open, and the other way, go on."""
        self.fault(target, f"ip saddr {self._hosts[source].ip} tcp flags syn / syn,ack counter drop")

    def lose(self, source: str, target: str, percent: int) -> None:
        """So many of the packets from ``source`` to ``target`` are dropped."""
        self.fault(target, f"ip saddr {self._hosts[source].ip} numgen random mod 100 < {percent} counter drop")

    def isolate(self, name: str) -> None:
        """No packet reaches the host from any other, until ``heal``; the host itself runs on."""
        self.fault(name, f"ip saddr {PREFIX}.0/24 ip saddr != {self._hosts[name].ip} counter drop")

    def fault(self, target: str, rule: str) -> None:
        """One nft rule on everything that comes in at ``target``, before connection tracking; rules add up."""
        chain = f"chain in {{\ntype filter hook prerouting priority -400\n{rule}\n}}"
        self._nft(target, f"table {_FAULT_TABLE} {{\n{chain}\n}}\n")

    def fault_packets(self, target: str) -> int:
        """How many packets the faults at ``target`` have dropped: 0 means that no fault was really in force."""
        netns = f"--net=/run/netns/{self._hosts[target].netns}"
        words = run("nsenter", netns, "nft", "list", "table", *_FAULT_TABLE.split()).split()
        return sum(int(words[i + 1]) for i, word in enumerate(words) if word == "packets")

    def heal(self) -> None:
        """Removes every fault on every host that is on."""
        for name, host in self._hosts.items():
            if host.is_on:
                self._nft(name, f"table {_FAULT_TABLE}\ndelete table {_FAULT_TABLE}\n")

    # -- building -----------------------------------------------------------------------------------

    def _nft(self, name: str, text: str) -> None:
        run("nsenter", f"--net=/run/netns/{self._hosts[name].netns}", "nft", "-f", "-", stdin=text)

    def _build(self) -> None:
        self._segment = Segment(self.id)
        self._segment.make()
        addresses = {name: f"{PREFIX}.{number}" for number, name in enumerate(self._names, start=11)}
        if self._with_registry:
            addresses[REGISTRY_HOST] = f"{PREFIX}.2"
        named = {REGISTRY.partition(":")[0] if name == REGISTRY_HOST else name: ip for name, ip in addresses.items()}
        hosts_file = "127.0.0.1 localhost\n" + "".join(f"{ip} {name}\n" for name, ip in named.items())
        for name, ip in addresses.items():
            host = Host(self.id, name, ip, self.folder / name, self._segment)
            host.prepare_disk(hosts_file, REGISTRY)
            self._hosts[name] = host
        with ThreadPoolExecutor(max_workers=4) as pool:
            for _ in pool.map(Host.boot, self._hosts.values()):
                pass
