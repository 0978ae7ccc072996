"""`orchestr8 exec`: a command in a container, with this terminal's keyboard, size and exit code."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

import click

from orchestr8.cli.cluster import Cluster, Item, with_cluster
from orchestr8.cli.websocket import RESIZE, STATUS, STDERR, STDIN, STDOUT, Channels
from orchestr8.client.failures import from_status
from orchestr8.client.resources import with_query
from orchestr8.errors import BadRequest

_READ_BYTES = 32 * 1024


@click.command(
    "exec",
    epilog="""\b
Examples:
  orchestr8 exec web-7d9f -- cat /etc/hostname    one command; its exit code is ours
  orchestr8 exec -it web-7d9f -- sh               a shell
  echo hello | orchestr8 exec -i web-7d9f -- wc   with standard input
""",
)
@click.argument("pod", metavar="POD")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.option("-c", "--container", metavar="NAME", help="In this container; default: the first.")
@click.option("-i", "--stdin", "with_stdin", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="Give the command a terminal.")
@with_cluster
def exec_(
    cluster: Cluster, pod: str, command: tuple[str, ...], container: str | None, with_stdin: bool, tty: bool
) -> None:
    """Run a command in a container."""
    kind, _, name = pod.rpartition("/")
    if kind not in ("", "pod", "pods", "po"):
        raise BadRequest("write: orchestr8 exec POD -- COMMAND")
    if tty and not sys.stdin.isatty():
        click.echo("standard input is no terminal: going on without -t", err=True)
        tty = False
    query = with_query(
        cluster.path(Item(cluster.find("pods"), name), "exec"),
        {"container": container, "stdin": with_stdin, "stdout": True, "stderr": not tty, "tty": tty},
    )
    path = query + "".join(f"&{with_query('', {'command': word})[1:]}" for word in command)
    channels = Channels(cluster.api, path)
    with _raw_terminal() if tty and with_stdin else contextlib.nullcontext():
        code = _relay(channels, with_stdin, tty)
    raise SystemExit(code)


def _relay(channels: Channels, with_stdin: bool, tty: bool) -> int:
    """Until the command has ended; its exit code."""
    out = {STDOUT: sys.stdout.buffer, STDERR: sys.stderr.buffer}
    with _resizes(tty) as resized:
        if tty:
            _send_size(channels)
        readers: list[Any] = [channels, resized, *([sys.stdin] if with_stdin else [])]
        while channels.open:
            ready, _, _ = select.select(readers, [], [], 0 if channels.waiting else None)
            if resized in ready:
                resized.recv(_READ_BYTES)
                _send_size(channels)
            if sys.stdin in ready:
                data = os.read(sys.stdin.fileno(), _READ_BYTES)
                if data:
                    channels.send(STDIN, data)
                else:
                    channels.close_channel(STDIN)
                    readers.remove(sys.stdin)
            if channels in ready or channels.waiting:
                for channel, data in channels.received():
                    if channel == STATUS:
                        return _exit_code(json.loads(data))
                    if channel in out:
                        out[channel].write(data)
                        out[channel].flush()
    return 0


def _exit_code(status: dict[str, Any]) -> int:
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise from_status(status)


def _send_size(channels: Channels) -> None:
    size = shutil.get_terminal_size()
    channels.send(RESIZE, json.dumps({"Width": size.columns, "Height": size.lines}).encode())


@contextlib.contextmanager
def _resizes(tty: bool) -> Iterator[socket.socket]:
    """A socket that becomes readable when the terminal's size changes."""
    readable, written = socket.socketpair()
    with readable, written:
        written.setblocking(False)
        if not tty:
            yield readable
            return
        before = signal.signal(signal.SIGWINCH, lambda *_: None)
        wakeup = signal.set_wakeup_fd(written.fileno())
        try:
            yield readable
        finally:
            signal.set_wakeup_fd(wakeup)
            signal.signal(signal.SIGWINCH, before)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    """Every key goes to the command, also ^C; the terminal is as before when it ends."""
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
