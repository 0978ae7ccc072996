"""``orchestr8`` and ``python -m orchestr8``."""

from __future__ import annotations

from orchestr8.cli.main import run as main

if __name__ == "__main__":
    main()
