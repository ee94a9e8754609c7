"""The registry of recipes: one function per published method."""

from __future__ import annotations

from collections.abc import Callable

from secateur.core.recipe import Recipe
from secateur.core.registry import Registry

METHODS: Registry[Callable[[], Recipe]] = Registry("recipe")
method = METHODS


def recipe(name: str) -> Recipe:
    """The recipe registered under `name`.

    Raises:
        UnknownNameError: there is none; the message lists them and suggests near misses.
    """
    return METHODS[name]()
