"""Masters' stores as real processes on the loopback of a network namespace made for them, with real TLS and disk."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from orchestr8.pki import ca, certificates, files

ROOT = Path(__file__).resolve().parents[3]
_numbers = itertools.count()


class Master:
    """One process. Its lines are read by a thread as they come, so that it never waits for us."""

    def __init__(self, namespace: str, folder: Path, name: str, members: dict[str, str]) -> None:
        self.name = name
        self.acks: list[dict[str, Any]] = []
        self._answers: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._log = (folder / "stderr.log").open("ab")
        program = (sys.executable, "-m", "tests.cluster.raft.master")
        self.process = subprocess.Popen(
            [*("ip", "netns", "exec", namespace), *program, str(folder), name, json.dumps(members)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=ROOT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.endswith(b"\n"):
                return  # cut off by the kill: nobody can have relied on it
            value = json.loads(line)
            if "ack" in value:
                self.acks.append(value)
            else:
                self._answers.put(value)

    def order(self, do: str, **details: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **details}).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self, seconds: float = 30.0) -> dict[str, Any]:
        try:
            return self._answers.get(timeout=seconds)
        except Empty:
            raise TimeoutError(f"{self.name} gave no answer in {seconds} s (exit code {self.process.poll()})") from None

    def ask(self, do: str, **details: Any) -> dict[str, Any]:
        self.order(do, **details)
        return self.answer(details.get("seconds", 0) + 30.0)

    def kill(self) -> None:
        """SIGKILL, and every line that was written before it is read."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self._close()

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=20)
        self._reader.join()
        self._close()

    def _close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        if not self.process.stdin.closed:
            self.process.stdin.close()
        self.process.stdout.close()
        self._log.close()


class Masters:
    def __init__(self, namespace: str, folder: Path, size: int) -> None:
        self.namespace = namespace
        self.folder = folder
        self.members = {f"m{number}": f"127.0.0.{number}:7443" for number in range(1, size + 1)}
        self.running: dict[str, Master] = {}
        now = dt.datetime.now(dt.UTC)
        authority = ca.create(now)
        for name, address in self.members.items():
            key = ca.new_key()
            subject = certificates.master(name, [address.partition(":")[0]])
            certificate = certificates.issue(authority, key.public_key(), subject, now)
            identity = files.Identity(authority.certificate_pem, certificate, ca.key_to_pem(key))
            files.save_identity(folder / name, identity)

    def start(self, *names: str) -> None:
        started = list(names or self.members)
        for name in started:
            self.running[name] = Master(self.namespace, self.folder / name, name, self.members)
        for name in started:
            assert self.running[name].answer()["ready"] == name

    def kill(self, *names: str) -> list[Master]:
        """All at once: the signals go out before anybody is waited for."""
        gone = [self.running.pop(name) for name in names or list(self.running)]
        for master in gone:
            master.process.kill()
        for master in gone:
            master.kill()
        return gone

    def leader(self, seconds: float = 15.0) -> Master:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for master in self.running.values():
                status = master.ask("status")
                if status["role"] == "leader" and status["claim"]:
                    return master
            time.sleep(0.02)
        raise TimeoutError("no leader")

    def followers(self) -> list[Master]:
        leader = self.leader()
        return [master for master in self.running.values() if master is not leader]

    def close(self) -> None:
        for master in list(self.running.values()):
            master.kill()


@contextmanager
def masters(folder: Path, size: int = 3) -> Iterator[Masters]:
    namespace = f"o8raft-{os.getpid()}-{next(_numbers)}"
    _ip("netns", "add", namespace)
    try:
        _ip("-n", namespace, "link", "set", "lo", "up")
        made = Masters(namespace, folder, size)
        try:
            yield made
        finally:
            made.close()
    finally:
        _ip("netns", "del", namespace)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def wait_for(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.005)
