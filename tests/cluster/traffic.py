"""A client that never stops asking: ``python traffic.py URL PERIOD_SECONDS``; ``traffic`` runs it beside a test.

Asks again and again, each time over a new connection with 1 s to answer, until its standard input ends; then prints
JSON: ``{"sent": n, "failed": ["12.345 s: why", ...], "answered": {"first word of the answer": n}}``. Needs only the
standard library, so that it runs on any host and costs no start-up time.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cluster.lab import Host

_PERIOD_SECONDS = 0.05


@dataclass
class Seen:
    """As the program prints it; filled at the end of the block. ``answered``: by which pod, how often."""

    sent: int = 0
    failed: list[str] = field(default_factory=list)
    answered: dict[str, int] = field(default_factory=dict)


def answering(host: Host, address: str, requests: int = 20) -> set[str]:
    """The pods that answer so many requests from the host to ``address``; "" stands for those without an answer."""
    ask = f"curl -s --max-time 2 http://{address}/cgi-bin/who || echo"
    told = host.run(["sh", "-c", f"for n in $(seq {requests}); do {ask}; done"], timeout_seconds=120).stdout
    return {line.partition(" ")[0] for line in told.splitlines()}


@contextmanager
def traffic(host: Host, address: str) -> Iterator[Seen]:
    """A client on the host asks the web image's ``who`` 20 times a second while the block runs. ``address``: host or
    host:port."""
    seen = Seen()
    program = [sys.executable, __file__, f"http://{address}/cgi-bin/who", str(_PERIOD_SECONDS)]
    process = host.popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield seen
        output, _ = process.communicate(timeout=10)
        seen.__dict__.update(json.loads(output))
    finally:
        if process.poll() is None:
            os.kill(process.inner_pid, signal.SIGKILL)
            process.communicate()


def main(url: str, period_seconds: float) -> None:
    answered: Counter[str] = Counter()
    failed: list[str] = []
    sent = 0
    start = time.monotonic()
    print("asking", flush=True)
    while not select.select([sys.stdin], [], [], period_seconds)[0]:
        sent += 1
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                answered[answer.read().decode().split()[0]] += 1
        except (OSError, ValueError, IndexError) as error:
            failed.append(f"{time.monotonic() - start:.3f} s: {error}")
    print(json.dumps({"sent": sent, "failed": failed, "answered": dict(answered)}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
