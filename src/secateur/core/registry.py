"""One registry class for all kinds of plug-in: register by decorator, look up with near-miss hints, list."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from secateur.core.errors import UnknownNameError

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Names to plug-ins of one kind. Other packages add theirs under the entry-point group `secateur.<kind>`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}
        self._outside_loaded = False

    def __call__(self, name: str) -> Callable[[T], T]:
        """Decorator that registers what it decorates under `name`; a name can be given once only."""

        def register(item: T) -> T:
            if name in self._items:
                raise ValueError(f"{self.kind} {name!r} is registered already by {self._items[name]!r}.")
            self._items[name] = item
            return item

        return register

    def __getitem__(self, name: str) -> T:
        self._load_outside()
        if name not in self._items:
            near = difflib.get_close_matches(name, self._items, n=2)
            hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise UnknownNameError(f"no {self.kind} is called {name!r}.{hint} Known: {', '.join(sorted(self._items))}.")
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        self._load_outside()
        return iter(sorted(self._items))

    def __len__(self) -> int:
        self._load_outside()
        return len(self._items)

    def name_of(self, item: object) -> str:
        """The name under which `item` (or its class) is registered."""
        for name, known in self._items.items():
            if known is item or known is type(item):
                return name
        raise UnknownNameError(f"{item!r} is not a registered {self.kind}. Register it with @{self.kind}('name').")

    def _load_outside(self) -> None:
        if not self._outside_loaded:
            self._outside_loaded = True
            load_outside(self.kind)


def load_outside(kind: str) -> None:
    """Import what other packages offer under the entry-point group `secateur.<kind>`.

    One that cannot be imported is left out with a warning that names it: it must not take everything else with it.
    """
    for point in entry_points(group=f"secateur.{kind}"):
        try:
            point.load()
        except Exception as error:  # whatever the other package raises
            package = point.dist.name if point.dist is not None else "an unnamed package"
            warnings.warn(
                f"{package} offers a {kind} under the entry point '{point.name} = {point.value}', which cannot be "
                f"loaded ({type(error).__name__}: {error}). It is left out; mend or uninstall {package}.",
                stacklevel=2,
            )
