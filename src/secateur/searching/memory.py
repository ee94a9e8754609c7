"""Everything that was evaluated, on disk as soon as it is known, so that a search that was broken off goes on."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secateur.core.errors import CodecError, IncompatibleError

SCHEMA = 1
#: What makes a problem, in words: entries that must be equal for old evaluations to count.
Problem = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What one evaluation found.

    Attributes:
        quality: of the network.
        seconds: that it took.
    """

    quality: float
    seconds: float


class Store(ABC):
    """A place for evaluations of one problem."""

    @abstractmethod
    def read(self) -> list[tuple[dict[str, int], Found]]:
        """All of them, in order."""

    @abstractmethod
    def add(self, counts: Mapping[str, int], found: Found) -> None:
        """Keep one more; it is safe when this returns."""


@dataclass(frozen=True, slots=True)
class Journal(Store):
    """A file that only grows: a line that says what the problem is, then a line of JSON for each evaluation.

    Attributes:
        path: the file; made when it does not exist.
        problem: what the evaluations are about.
    """

    path: Path
    problem: Problem

    def __post_init__(self) -> None:
        lines = self._lines()
        if not lines:
            self._write(json.dumps({"schema": SCHEMA, "problem": dict(self.problem)}), "w")
            return
        head = lines[0]
        if head.get("schema") != SCHEMA or not isinstance(head.get("problem"), dict):
            raise CodecError(
                f"{str(self.path)!r} is no journal of schema {SCHEMA}. Name another folder, or remove the file."
            )
        check_same(head["problem"], self.problem, f"the journal {str(self.path)!r}")

    def read(self) -> list[tuple[dict[str, int], Found]]:
        """All evaluations; a last line that was cut short is not one."""
        return [(line["counts"], Found(line["quality"], line["seconds"])) for line in self._lines()[1:]]

    def add(self, counts: Mapping[str, int], found: Found) -> None:
        """One more line."""
        self._write(json.dumps({"counts": dict(counts), "quality": found.quality, "seconds": found.seconds}), "a")

    def _lines(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        text = self.path.read_text()
        whole, newline, rest = text.rpartition("\n")
        if rest:  # the machine stopped in the middle of a line
            self.path.write_text(whole + newline)
        try:
            return [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            raise CodecError(f"{str(self.path)!r} cannot be read: {error}. Remove the line, or the file.") from error

    def _write(self, line: str, mode: str) -> None:
        with self.path.open(mode) as file:
            file.write(line + "\n")


def check_same(there: Problem, here: Problem, where: str) -> None:
    """Refuse to go on with evaluations of another problem.

    Raises:
        IncompatibleError: with every entry that differs.
    """
    names = dict.fromkeys([*there, *here])
    other = [
        f"{n}: {there.get(n)!r} there, {here.get(n)!r} here" for n in names if not _same(there.get(n), here.get(n))
    ]
    if other:
        raise IncompatibleError(
            f"{where} is about another problem ({'; '.join(other)}). Go on with the same settings, or name another "
            "folder or storage."
        )


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12)
    return bool(a == b)


@dataclass(slots=True)
class Memory:
    """What several stores know together; what one of them lacks is added to it.

    Attributes:
        stores: places to keep evaluations, may be none.
        found: by counts, in the order of `blocks`.
        blocks: names of the blocks that counts speak about.
    """

    stores: tuple[Store, ...]
    blocks: tuple[str, ...]
    found: dict[tuple[int, ...], Found] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = [{self.key(counts): found for counts, found in store.read()} for store in self.stores]
        for each in known:
            self.found |= {key: found for key, found in each.items() if key not in self.found}
        for store, each in zip(self.stores, known, strict=True):
            for key in [key for key in self.found if key not in each]:
                store.add(dict(zip(self.blocks, key, strict=True)), self.found[key])

    def key(self, counts: Mapping[str, int]) -> tuple[int, ...]:
        """The counts without names."""
        return tuple(counts[name] for name in self.blocks)

    def add(self, counts: Mapping[str, int], found: Found) -> None:
        """Remember, everywhere."""
        self.found[self.key(counts)] = found
        for store in self.stores:
            store.add(counts, found)
