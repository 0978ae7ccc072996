"""Runs ``ip``, ``nft`` and ``conntrack``: the only place of this room that starts a process."""

from __future__ import annotations

import shlex
import subprocess

import trio

from orchestr8.worker.network.base import NetworkFailed

AT_ONCE = 4  # each is a few milliseconds of one core; more at a time only queue in the kernel's own lock

# Administrators' tools live in sbin, which not every shell of root has in its PATH. Messages in English: we read them.
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_PACKAGES = {"ip": "iproute2", "nft": "nftables", "conntrack": "conntrack", "nsenter": "util-linux"}


class Commands:
    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(AT_ONCE)

    async def run(self, *argv: str, stdin: str = "") -> str:
        """The command's standard output. Raises NetworkFailed with the tool's own words if it refuses or is missing."""
        async with self._limiter:
            try:
                done: subprocess.CompletedProcess[bytes] = await trio.run_process(
                    argv, stdin=stdin.encode(), capture_stdout=True, capture_stderr=True, check=False, env=_ENVIRONMENT
                )
            except FileNotFoundError as error:
                package = _PACKAGES.get(argv[0], argv[0])
                raise NetworkFailed(f"{argv[0]} is not installed on this node: apt-get install {package}") from error
        if done.returncode != 0:
            words = done.stderr.decode(errors="replace").strip()[:2000]
            raise NetworkFailed(f"`{shlex.join(argv)}` ended with {done.returncode}: {words}")
        return done.stdout.decode()

    async def ip(self, *lines: str, go_on: bool = False) -> None:
        """Several changes by one ``ip -batch``; it stops at the first that fails unless ``go_on``."""
        await self.run("ip", *(["-force"] if go_on else []), "-batch", "-", stdin="".join(f"{li}\n" for li in lines))
