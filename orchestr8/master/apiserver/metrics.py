"""What the API server counts, as Prometheus text."""

from __future__ import annotations

from collections import Counter


class Metrics:
    """``unforeseen``: errors that are bugs here."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, int]] = Counter()
        self.unforeseen = 0

    def answered(self, method: str, status: int) -> None:
        known = method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") else "other"
        self._answers[known, status] += 1

    def text(self, revision: int, watches: int) -> str:
        lines = [
            "# HELP orchestr8_api_requests_total Requests answered, by method and HTTP status.",
            "# TYPE orchestr8_api_requests_total counter",
        ]
        for (method, status), count in sorted(self._answers.items()):
            lines.append(f'orchestr8_api_requests_total{{method="{method}",code="{status}"}} {count}')
        lines += [
            "# HELP orchestr8_api_unforeseen_errors_total Requests that met a bug.",
            "# TYPE orchestr8_api_unforeseen_errors_total counter",
            f"orchestr8_api_unforeseen_errors_total {self.unforeseen}",
            "# HELP orchestr8_api_watches Watches open now.",
            "# TYPE orchestr8_api_watches gauge",
            f"orchestr8_api_watches {watches}",
            "# HELP orchestr8_store_revision Newest revision that this master has applied.",
            "# TYPE orchestr8_store_revision gauge",
            f"orchestr8_store_revision {revision}",
        ]
        return "\n".join(lines) + "\n"
