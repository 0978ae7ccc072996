"""What this process may ask the kernel for on behalf of a container. Root in a container itself may less than root.

Podman's own defaults are above what a confined root may set, and then no container starts at all: never ask for more.
"""

from __future__ import annotations

import resource
from pathlib import Path

import msgspec

_RLIMIT_MAX = 1_048_576
_CAP_SYS_RESOURCE = 1 << 24
_OOM_SCORE_MIN = -1000


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """``rlimits``: name -> value that must be set, soft and hard alike. ``oom_score_min``: no lower one is allowed."""

    rlimits: dict[str, int]
    oom_score_min: int


def confinement() -> Confinement:
    """Of this process. Reads /proc; does not block in practice."""
    numbers = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    hard = {name: resource.getrlimit(number)[1] for name, number in numbers.items()}
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    powerful = int(status["CapEff"], 16) & _CAP_SYS_RESOURCE
    return Confinement(
        rlimits={name: min(value, _RLIMIT_MAX) for name, value in hard.items() if value != resource.RLIM_INFINITY},
        oom_score_min=_OOM_SCORE_MIN if powerful else int(Path("/proc/self/oom_score_adj").read_text()),
    )
