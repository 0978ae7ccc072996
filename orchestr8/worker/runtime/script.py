"""The processes of the fake runtime: a small subset of a shell, on trio's clock.

Understood, separated by ``;`` or new lines: ``sleep N``, ``echo TEXT`` (with ``$NAME``, ``>&2``), ``exit N``,
``true``, ``false``, ``cat``, ``trap 'exit N' TERM``, ``trap '' TERM``, ``while true; do ...; done``. Anything else
runs for ever, like a server.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

import trio

EXIT_CODE_NOT_FOUND = 127
EXIT_CODE_SIGKILL = 137
EXIT_CODE_SIGTERM = 143

Write = Callable[[str, bytes], None]

_LOOP = re.compile(r"while true; do (.*); done", re.DOTALL)
_TRAP = re.compile(r"trap '([^']*)' TERM")
_SHELLS = ("sh", "/bin/sh", "ash", "/bin/ash")


class Exit(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Process:
    """``run`` it to its end; ``terminate`` is SIGTERM, which a first process ignores unless it traps it."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], write: Write) -> None:
        self.argv = tuple(argv)
        self._env = env
        self._write = write
        self._trap: str | None = None
        self._input = bytearray()
        self._input_ended = trio.Event()
        self._scope = trio.CancelScope()
        self._signalled: int | None = None

    async def run(self) -> int:
        """The exit code."""
        with self._scope:
            try:
                if self.argv[:1] and self.argv[0] in _SHELLS and self.argv[1:2] == ("-c",):
                    await self._script(self.argv[2])
                else:
                    await self._command(" ".join(self.argv))
            except Exit as end:
                return end.code
        return self._signalled if self._signalled is not None else 0

    def kill(self, code: int = EXIT_CODE_SIGKILL) -> None:
        self._signalled = code
        self._scope.cancel()

    def terminate(self) -> None:
        if self._trap is None or self._trap == "":
            return
        found = re.match(r"exit (\d+)", self._trap)
        self.kill(int(found[1]) if found else EXIT_CODE_SIGTERM)

    def feed(self, data: bytes) -> None:
        self._input += data

    def feed_eof(self) -> None:
        self._input_ended.set()

    async def _script(self, text: str) -> None:
        if found := _LOOP.search(text):
            await self._script(text[: found.start()])
            while True:
                await self._script(found[1])
                await trio.sleep(0.1)  # a loop without a pause would stop the virtual clock
        for part in re.split(r"[;\n]", text):
            if part.strip():
                await self._command(part.strip())

    async def _command(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        match name:
            case "echo":
                channel = "stderr" if rest.endswith(">&2") else "stdout"
                text = re.sub(r"\$(\w+)", lambda found: self._env.get(found[1], ""), rest.removesuffix(">&2").strip())
                self._write(channel, text.encode() + b"\n")
            case "cat":
                await self._input_ended.wait()
                self._write("stdout", bytes(self._input))
            case "sleep":
                await trio.sleep(float(rest))
            case "exit":
                raise Exit(int(rest or "0"))
            case "true":
                pass
            case "false":
                raise Exit(1)
            case "trap":
                found = _TRAP.match(text)
                self._trap = found[1] if found else None
            case _:
                await trio.sleep(math.inf)
