"""Uids and name suffixes from an injected random source: the same seed gives the same names."""

from __future__ import annotations

import random
import uuid

# The alphabet of Kubernetes' generateName: no vowels (no words) and no look-alikes.
_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


class Names:
    def __init__(self, source: random.Random) -> None:
        self._source = source

    def uid(self) -> str:
        return str(uuid.UUID(int=self._source.getrandbits(128), version=4))

    def suffix(self, length: int = 5) -> str:
        return "".join(self._source.choices(_SUFFIX_ALPHABET, k=length))


def system_names() -> Names:
    """Names for a daemon: seeded by the operating system."""
    return Names(random.SystemRandom())
