"""Plug-ins with settings, as words of the command line: `n_m(1, 4)`, `block(size=16, along=inputs)`."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from secateur.core.errors import IncompatibleError

_CALL = re.compile(r"\s*(?P<name>\w+)\s*(?:\((?P<inside>.*)\))?\s*", re.DOTALL)


def read_settings(text: str, known: Mapping[str, type[Any]]) -> tuple[str, dict[str, Any]]:
    """The name of a plug-in and its settings; those without a name come in the order of its fields.

    Raises:
        UnknownNameError: there is no such plug-in.
        IncompatibleError: the text is no name, or there are more settings than fields.
    """
    call = _CALL.fullmatch(text)
    if call is None:
        raise IncompatibleError(f"cannot read {text!r}. Write a name, with settings in brackets: n_m(1, 4).")
    names = [field.name for field in fields(known[call["name"]])]
    given = _parts(call["inside"] or "", text)
    settings: dict[str, Any] = {}
    for place, part in enumerate(given):
        name, equals, value = _named(part)
        if not equals and place >= len(names):
            raise IncompatibleError(
                f"{text!r} has {len(given)} settings, but {call['name']} has {', '.join(names) or 'none'}."
            )
        settings[name.strip() if equals else names[place]] = _value(value.strip())
    return call["name"], settings


def _parts(inside: str, text: str) -> list[str]:
    """What stands between commas, those within brackets aside."""
    parts, depth = [""], 0
    for letter in inside:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            break
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    if depth:
        raise IncompatibleError(f"the brackets in {text!r} do not match. Write for instance quantize(kmeans(bits=4)).")
    return [part.strip() for part in parts if part.strip()]


def _named(part: str) -> tuple[str, str, str]:
    """Name, equals sign and value of a setting; the name is empty if there is none."""
    name, equals, value = part.partition("=")
    return (name, equals, value) if equals and name.strip().isidentifier() else ("", "", part)


def _value(text: str) -> Any:
    """A number or truth value, or else the word itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
