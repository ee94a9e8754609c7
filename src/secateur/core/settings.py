"""Plug-ins with settings, as words of the command line: `n_m(1, 4)`, `block(size=16, along=inputs)`."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from secateur.core.errors import IncompatibleError

_CALL = re.compile(r"\s*(?P<name>\w+)\s*(?:\((?P<inside>[^()]*)\))?\s*")


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
    given = [part.strip() for part in (call["inside"] or "").split(",") if part.strip()]
    settings: dict[str, Any] = {}
    for place, part in enumerate(given):
        name, equals, value = part.rpartition("=")
        if not equals and place >= len(names):
            raise IncompatibleError(
                f"{text!r} has {len(given)} settings, but {call['name']} has {', '.join(names) or 'none'}."
            )
        settings[name.strip() if equals else names[place]] = _value(value.strip())
    return call["name"], settings


def _value(text: str) -> Any:
    """A number or truth value, or else the word itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
