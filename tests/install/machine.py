"""One booted system: commands in it, and waiting for what systemd says."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence

from tests.cluster.lab import Host

ADDRESS = "10.9.0.1"  # of the machine, as its other hosts would know it
_POLL_SECONDS = 0.1


class Machine:
    def __init__(self, host: Host, container: str) -> None:
        self._host = host
        self._container = container

    def run(
        self, *argv: str, check: bool = True, input: str | None = None, timeout_seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        stdin = ["-i"] if input is not None else []
        command = ["podman", "exec", *stdin, self._container, *argv]
        return self._host.run(command, check=check, input=input, timeout_seconds=timeout_seconds)

    def text(self, *argv: str) -> str:
        return self.run(*argv).stdout.strip()

    def write(self, path: str, text: str, mode: str = "644") -> None:
        script = 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"'
        self.run("sh", "-c", script, "sh", path, mode, input=text)

    def shown(self, unit: str, *properties: str) -> dict[str, str]:
        """What ``systemctl show`` says of the unit."""
        lines = self.text("systemctl", "show", unit, f"--property={','.join(properties)}").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def wait_for(self, what: str, holds: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{self.journal()}{self._jobs()}"
            time.sleep(_POLL_SECONDS)

    def wait_until_booted(self) -> None:
        """``degraded`` will do: what cannot start in a container is none of ours."""
        self.wait_for("systemd has booted", lambda: self._state() in ("running", "degraded"))

    def journal(self, units: Sequence[str] = ("orchestr8-master", "orchestr8-worker")) -> str:
        chosen = [f"--unit={unit}" for unit in units]
        return self.run("journalctl", "--no-pager", "--lines=60", *chosen, check=False).stdout

    def main_pid(self, unit: str) -> str:
        return self.shown(unit, "MainPID")["MainPID"]

    def _jobs(self) -> str:
        return self.run("systemctl", "list-jobs", "--no-pager", check=False).stdout

    def _state(self) -> str:
        return self.run("systemctl", "is-system-running", check=False).stdout.strip()
