"""kubectl and our own command line as a person calls them: a kubeconfig, one namespace, at a terminal or not."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import yaml

BIN = Path(sys.executable).parent
_COMMAND_SECONDS = 60
_SCREEN_SECONDS = 30.0


@dataclass(frozen=True)
class Program:
    """``kubeconfig``: its context has the namespace. ``home``: for caches, this caller's alone."""

    name: str
    kubeconfig: Path
    home: Path
    namespace: str = "default"

    def __call__(
        self, *words: str, code: int = 0, stdin: str | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Fails the test when the exit code is not ``code``."""
        done = subprocess.run(
            self.command(*words),
            env=self.environment | (env or {}),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
        )
        told = f"{self.name} {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        assert done.returncode == code, told
        return done

    def command(self, *words: str) -> list[str]:
        return [str(BIN / self.name), *words]

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "KUBECONFIG": str(self.kubeconfig)}

    def out(self, *words: str) -> str:
        return self(*words).stdout.strip()

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Killed at the end of the block, if it still runs."""
        process = subprocess.Popen(
            self.command(*words),
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def at_terminal(self, *words: str) -> Terminal:
        return Terminal(self.command(*words), self.environment)


class Terminal:
    """``with program.at_terminal(...) as terminal``: a program that has this terminal, and what it shows.

    A key typed is echoed as the terminal's mode says, and ^C reaches the program as a signal or a byte, as it does for
    a person.
    """

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.shown = ""
        self._master, slave = pty.openpty()
        self.resize(24, 80, of=slave)
        # The program is the head of a session with this terminal, so that signals of the terminal reach it.
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            env={**environment, "TERM": "xterm"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        self._slave = slave

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._slave)
        os.close(self._master)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def shows(self, text: str) -> None:
        """Waits until it has."""
        self._read_until(lambda: text in self.shown, f"{text!r} is shown")

    def resize(self, rows: int, columns: int, *, of: int | None = None) -> None:
        termios.tcsetwinsize(self._master if of is None else of, (rows, columns))

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def ends(self) -> int:
        """Waits until the program has ended and all is shown; its exit code."""
        self._read_until(lambda: self._process.poll() is not None, "the program ends")
        while self._read(0):
            pass
        return self._process.returncode

    @property
    def echoes(self) -> bool:
        """Whether keys are shown by the terminal itself: not while a program has it in raw mode."""
        return bool(termios.tcgetattr(self._slave)[3] & termios.ECHO)

    def _read_until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _SCREEN_SECONDS
        while not holds():
            assert time.monotonic() < deadline, (
                f"not within {_SCREEN_SECONDS:g} s: {what}; shown: {self.shown[-2000:]!r}"
            )
            self._read(0.05)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        self.shown += os.read(self._master, 65536).decode(errors="replace")
        return True


def kubeconfig_of(original: Path, namespace: str, copy: Path) -> Path:
    """``copy``: as ``original``, but every context is of this namespace."""
    document = yaml.safe_load(original.read_text())
    for context in document["contexts"]:
        context["context"]["namespace"] = namespace
    copy.write_text(yaml.safe_dump(document))
    return copy
