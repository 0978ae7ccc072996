"""Runs the probes of one attempt of a container and tells when the verdict changes.

Liveness and readiness wait for the startup probe. A container without a startup probe has started, one without a
readiness probe is ready once started. ``count`` holds the thresholds and is pure; the rest sleeps and asks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import trio

from orchestr8.api.pod import Container, Probe
from orchestr8.worker.agent.node.host import ProbeFailed
from orchestr8.worker.agent.pods.observed import ProbeVerdict

Attempt = Callable[[Probe], Awaitable[None]]
Report = Callable[[ProbeVerdict], None]
Complain = Callable[[str, str], None]


class Tally(msgspec.Struct, frozen=True):
    """Results in a row; ``outcome`` is None until a threshold is reached the first time."""

    successes: int = 0
    failures: int = 0
    outcome: bool | None = None


def count(tally: Tally, probe: Probe, success: bool) -> Tally:
    successes = tally.successes + 1 if success else 0
    failures = 0 if success else tally.failures + 1
    outcome = tally.outcome
    if successes >= (probe.success_threshold or 1):
        outcome = True
    elif failures >= (probe.failure_threshold or 3):
        outcome = False
    return Tally(successes, failures, outcome)


async def watch(
    container: Container, verdict: ProbeVerdict, attempt: Attempt, report: Report, complain: Complain
) -> None:
    """Runs until cancelled. ``verdict``: what was known before; a container that had started has not to start again.

    ``attempt`` raises ProbeFailed; ``complain(kind, message)`` is called for the events.
    """

    def tell(**changes: bool | str) -> None:
        nonlocal verdict
        changed = msgspec.structs.replace(verdict, **changes)
        if changed != verdict:
            verdict = changed
            report(verdict)

    startup = container.startup_probe if not verdict.started else None
    if startup is not None and not await _until_started(startup, attempt, complain):
        tell(unhealthy="startup probe failed")
        return
    tell(started=True, ready=verdict.ready or container.readiness_probe is None)
    async with trio.open_nursery() as nursery:
        if container.readiness_probe is not None:
            nursery.start_soon(
                _repeat, "Readiness", container.readiness_probe, attempt, lambda ok: tell(ready=ok), complain
            )
        if container.liveness_probe is not None:
            nursery.start_soon(
                _repeat,
                "Liveness",
                container.liveness_probe,
                attempt,
                lambda ok: tell(unhealthy="" if ok else "liveness probe failed"),
                complain,
            )


async def _until_started(probe: Probe, attempt: Attempt, complain: Complain) -> bool:
    tally = Tally()
    await trio.sleep(probe.initial_delay_seconds or 0)
    while True:
        tally = await _once("Startup", probe, tally, attempt, complain)
        if tally.outcome is not None:
            return tally.outcome
        await trio.sleep(probe.period_seconds or 10)


async def _repeat(kind: str, probe: Probe, attempt: Attempt, told: Callable[[bool], None], complain: Complain) -> None:
    tally = Tally()
    await trio.sleep(probe.initial_delay_seconds or 0)
    while True:
        tally = await _once(kind, probe, tally, attempt, complain)
        if tally.outcome is not None:
            told(tally.outcome)
        await trio.sleep(probe.period_seconds or 10)


async def _once(kind: str, probe: Probe, tally: Tally, attempt: Attempt, complain: Complain) -> Tally:
    problem = ""
    with trio.move_on_after(probe.timeout_seconds or 1) as scope:
        try:
            await attempt(probe)
        except ProbeFailed as error:
            problem = error.message or "failed"
    if scope.cancelled_caught:
        problem = f"no answer within {probe.timeout_seconds or 1} s"
    counted = count(tally, probe, not problem)
    # The first failure in a row and the one that decides are news; those between would only repeat.
    if problem and (counted.failures == 1 or counted.failures == (probe.failure_threshold or 3)):
        complain(kind, f"{kind} probe failed: {problem}")
    return counted
