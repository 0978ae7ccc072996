"""For every level: no example of a property may fail for being slow, and each failure prints how to see it again."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("orchestr8", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("orchestr8")
