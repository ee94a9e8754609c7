"""Derandomised by default; `SECATEUR_EXAMPLES=5000 pytest tests/property` searches for new failures."""

import os

from hypothesis import HealthCheck, settings

MORE = os.environ.get("SECATEUR_EXAMPLES")
settings.register_profile(
    "secateur",
    max_examples=int(MORE or 150),
    derandomize=MORE is None,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("secateur")
