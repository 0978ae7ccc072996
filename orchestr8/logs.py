"""Logs: one structlog processor chain for every role. Console on a terminal, JSON lines otherwise.

Under systemd each line starts with ``<N>``, the priority that the journal reads. Keys bound for a whole role: role,
node; per use: pod, uid, term, revision. The same message is let through ten times a minute, the rest is counted.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

SAME_MESSAGE_PER_MINUTE = 10
_MESSAGES_REMEMBERED = 1_000

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_JOURNAL_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}

Event = MutableMapping[str, Any]


def configure(*, level: str, format: str, journal: bool, **bound: str) -> None:
    """Sets up logging of this process to stderr. ``level`` and ``format`` as in ``config.LogSection``."""
    console = format == "console" or (format == "auto" and sys.stderr.isatty())
    render: list[Any]
    if console:
        render = [structlog.dev.ConsoleRenderer()]
    else:
        render = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if journal:
            render.append(_JournalPrefix())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            RateLimit(time.monotonic),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *render,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    set_level(level)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**bound)


def set_level(level: str) -> None:
    """From the next message on. ``level`` as in ``config.LogSection``."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]))


def get_logger(**bound: Any) -> structlog.typing.FilteringBoundLogger:
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(**bound)
    return logger


class RateLimit:
    """Drops a message (same text and level) beyond ``SAME_MESSAGE_PER_MINUTE``; a later one says how many."""

    def __init__(self, monotonic_seconds: Callable[[], float]) -> None:
        self._monotonic_seconds = monotonic_seconds
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def __call__(self, logger: Any, method: str, event: Event) -> Event:
        now = self._monotonic_seconds()
        key = (method, str(event.get("event")))
        started, count = self._seen.get(key, (now, 0))
        if now - started >= 60:
            if count > SAME_MESSAGE_PER_MINUTE:
                event["suppressed"] = count - SAME_MESSAGE_PER_MINUTE
            started, count = now, 0
        if len(self._seen) >= _MESSAGES_REMEMBERED:
            self._seen.clear()
        self._seen[key] = (started, count + 1)
        if count >= SAME_MESSAGE_PER_MINUTE:
            raise structlog.DropEvent
        return event


class _JournalPrefix:
    def __call__(self, logger: Any, method: str, text: str) -> str:
        return f"<{_JOURNAL_PRIORITY.get(method, 6)}>{text}"
