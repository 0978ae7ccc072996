"""A client that never stops asking: ``python traffic.py URL PERIOD_SECONDS``.

Asks again and again, each time over a new connection with 1 s to answer, until its standard input ends; then prints
JSON: ``{"sent": n, "failed": ["12.345 s: why", ...], "answered": {"first word of the answer": n}}``. Needs only the
standard library, so that it runs on any host and costs no start-up time.
"""

from __future__ import annotations

import json
import select
import sys
import time
import urllib.request
from collections import Counter


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
