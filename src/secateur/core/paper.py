"""Citations: `Paper("li2017")` is a key into the one list of references that ships with the package."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from secateur.core.errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class Paper:
    """A key into `references.toml`.

    Raises:
        UnknownNameError: on reading any property, if the key is not in the list.
    """

    key: str

    def cite(self) -> str:
        """One line: authors, title, venue, year, arXiv id."""
        entry = self._entry()
        arxiv = f" arXiv:{entry['arxiv']}" if entry.get("arxiv") else ""
        return f"{entry['authors']}, {entry['title']}, {entry['venue']} {entry['year']}.{arxiv}"

    def _entry(self) -> dict[str, Any]:
        try:
            return _references()[self.key]
        except KeyError:
            raise UnknownNameError(f"no paper {self.key!r} in references.toml. Add it there.") from None


@cache
def _references() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files("secateur.core").joinpath("references.toml").read_text())
