"""The registry of regularisers."""

from __future__ import annotations

from secateur.core.contracts import Regularizer
from secateur.core.registry import Registry

REGULARIZERS: Registry[type[Regularizer]] = Registry("regularizer")
regularizer = REGULARIZERS
