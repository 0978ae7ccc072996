"""Load from wrk, a client in C, so that the client costs as little as possible of the two cores it shares."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.cluster.lab import Lab

# Every connection in turn writes one of as many objects as there are connections. The answer is one line of JSON.
_SCRIPT = """\
local n = 0
function request()
  n = n + 1
  local name = (%(cycle)d > 0) and string.format("%%03d", n %% %(cycle)d) or (%(run)s .. n)
  local path = string.gsub(%(path)s, "@", name)
  local body = string.gsub(string.gsub(%(body)s, "@", name), "#", n)
  return wrk.format(%(method)s, path, %(headers)s, body)
end
function done(summary, latency, requests)
  local e = summary.errors
  print(string.format('RESULT {"requests": %%d, "seconds": %%.4f, "p50_ms": %%.3f, "p99_ms": %%.3f, ' ..
    '"refused": %%d, "lost": %%d}', summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, e.status, e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """``path`` and ``body``: @ stands for three digits below the number of connections, or, with ``fresh``, for a name
    that begins so and is used once; # in ``body`` for a number that is another each time."""

    url: str
    method: str
    path: str
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    fresh: str = ""


@dataclass(frozen=True)
class Answered:
    """``per_second`` counts what was answered with 2xx."""

    per_second: float
    p50_ms: float
    p99_ms: float
    refused: int
    lost: int


def run(lab: Lab, load: Load, connections: int, seconds: float) -> Answered:
    """From the lab's segment, one thread."""
    script = lab.folder / "wrk.lua"
    script.write_text(_script(load, connections))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", "-s", str(script), load.url]
    printed = lab.outside(command, timeout_seconds=seconds + 30)
    (line,) = (line for line in printed.splitlines() if line.startswith("RESULT "))
    found = json.loads(line.removeprefix("RESULT "))
    answered = found["requests"] - found["refused"]
    return Answered(
        answered / found["seconds"], found["p50_ms"], found["p99_ms"], int(found["refused"]), int(found["lost"])
    )


def _script(load: Load, connections: int) -> str:
    headers = "{" + ", ".join(f"[{json.dumps(k)}] = {json.dumps(v)}" for k, v in load.headers) + "}"
    return _SCRIPT % {
        "path": json.dumps(load.path),
        "body": json.dumps(load.body),
        "method": json.dumps(load.method),
        "headers": headers,
        "cycle": 0 if load.fresh else connections,
        "run": json.dumps(load.fresh),
    }
