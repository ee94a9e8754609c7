"""The registry of repairs."""

from __future__ import annotations

from secateur.core.contracts import Repair
from secateur.core.registry import Registry

REPAIRS: Registry[type[Repair]] = Registry("repair")
repair = REPAIRS
