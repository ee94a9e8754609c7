"""The registry of granularities."""

from __future__ import annotations

from secateur.core.contracts import Granularity
from secateur.core.registry import Registry

GRANULARITIES: Registry[type[Granularity]] = Registry("granularity")
granularity = GRANULARITIES
