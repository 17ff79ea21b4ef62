from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long an example takes says nothing on a shared machine.
settings.register_profile("gongyu", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gongyu")
