"""Runs Python code of this process inside a lab's network: in a thread that has entered the namespace, or here.

Sockets made there belong to the namespace for ever; everything else (files, memory) is this process's own.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_CLONE_NEWNET = 0x40000000


class Inside:
    """``with Inside(host.netns) as inside: inside(function, ...)``; ``netns``: a name below /run/netns."""

    def __init__(self, netns: str) -> None:
        self._threads = ThreadPoolExecutor(max_workers=1, initializer=_enter, initargs=(netns,))

    def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self._threads.submit(function, *args, **kwargs).result()

    def __enter__(self) -> Inside:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown()


@contextmanager
def entered(netns: str) -> Iterator[None]:
    """This thread, and what it starts, is inside while the block runs."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(netns)
        yield
    finally:
        _set(here, "the network namespace of before")
        os.close(here)


def _enter(netns: str) -> None:
    descriptor = os.open(f"/run/netns/{netns}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _set(descriptor, f"the network namespace {netns}")
    finally:
        os.close(descriptor)


def _set(descriptor: int, what: str) -> None:
    # os.setns came with Python 3.12 only.
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"cannot enter {what}")
