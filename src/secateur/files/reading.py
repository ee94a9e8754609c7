"""Reading JSON that may be damaged or hostile: every access is checked and every complaint says where."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secateur.core.errors import CodecError

#: No honest integer in our files is larger, and every smaller one fits a 64-bit tensor entry.
LARGEST = 2**53

_ADVICE = "The file is damaged or was not written by this library; write it again."


@dataclass(frozen=True, slots=True)
class Node:
    """A value inside a JSON text.

    Attributes:
        value: what `json.loads` made of it.
        where: its place, for messages: `plan.graph.groups['conv1'].units`.
    """

    value: Any
    where: str

    @classmethod
    def parse(cls, text: str, where: str) -> Node:
        """The root of a JSON text.

        Raises:
            CodecError: the text is not JSON.
        """
        try:
            return cls(json.loads(text), where)
        except (ValueError, RecursionError) as error:  # a JSONDecodeError is a ValueError
            raise CodecError(f"{where} is not JSON ({str(error)[:80]}). {_ADVICE}") from error

    def fail(self, wanted: str) -> CodecError:
        """The error that says what should have stood here."""
        shown = repr(self.value)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        return CodecError(f"{self.where} must be {wanted}, got {shown}. {_ADVICE}")

    def entries(self) -> dict[str, Node]:
        """The values of an object, by name."""
        if not isinstance(self.value, dict):
            raise self.fail("an object")
        return {name: Node(value, f"{self.where}[{name!r}]") for name, value in self.value.items()}

    def record(self, *names: str, optional: tuple[str, ...] = ()) -> dict[str, Node]:
        """The values of an object that must have the fields `names`, may have those in `optional`, and no others."""
        if not isinstance(self.value, dict):
            raise self.fail(f"an object with {', '.join(names)}")
        missing, extra = _without(names, self.value), _without(self.value, (*names, *optional))
        if missing or extra:
            found = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has unknown {', '.join(extra)}"] * bool(extra)
            raise CodecError(f"{self.where} {' and '.join(found)}. {_ADVICE}")
        there = (name for name in (*names, *optional) if name in self.value)
        return {name: Node(self.value[name], f"{self.where}.{name}") for name in there}

    def items(self) -> list[Node]:
        """The values of a list."""
        if not isinstance(self.value, list):
            raise self.fail("a list")
        return [Node(value, f"{self.where}[{i}]") for i, value in enumerate(self.value)]

    def text(self) -> str:
        """A string."""
        if not isinstance(self.value, str):
            raise self.fail("a string")
        return self.value

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self.fail("true or false")
        return self.value

    def whole(self, low: int = -LARGEST, high: int = LARGEST) -> int:
        """A whole number from `low` to `high`."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not low <= self.value <= high:
            raise self.fail(f"a whole number from {low} to {high}")
        return self.value

    def number(self) -> float:
        """A number; "nan", "inf" and "-inf" are written as strings, since JSON has no such numbers."""
        if isinstance(self.value, str) and self.value in ("nan", "inf", "-inf"):
            return float(self.value)
        if not isinstance(self.value, int | float) or isinstance(self.value, bool) or abs(self.value) > 1e300:
            raise self.fail("a number")
        return float(self.value)

    def schema(self, known: int) -> None:
        """Make sure that this object carries `"schema": known`.

        Raises:
            CodecError: it carries none, or that of another version.
        """
        found = self.value.get("schema") if isinstance(self.value, dict) else None
        if type(found) is not int or found != known:
            raise CodecError(
                f'{self.where} must carry "schema": {known}, got {found!r}. It was not written by this library, or by '
                "another version of it: read it with that version."
            )


def writable(number: float) -> float | str:
    """`number` as `Node.number` reads it back."""
    return number if abs(number) <= 1e300 else str(float(number))


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The content of a file.

    Raises:
        CodecError: there is none, or it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CodecError(
            f"cannot read {os.fspath(path)!r}: {error.strerror or error}. Name an existing file."
        ) from error


def read_text(path: str | os.PathLike[str]) -> str:
    """The content of a UTF-8 text file.

    Raises:
        CodecError: there is none, or it is not UTF-8.
    """
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise CodecError(f"{os.fspath(path)!r} is not UTF-8 text. {_ADVICE}") from error


def _without(names: Iterable[str], others: Iterable[str] | Mapping[str, Any]) -> list[str]:
    return [repr(name) for name in names if name not in others]
