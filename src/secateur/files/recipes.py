"""Recipe <-> TOML: a method as a file that a person can read and change."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from secateur.allocation import ALLOCATIONS
from secateur.core.budget import Budget
from secateur.core.errors import CodecError, UnknownNameError
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.core.registry import Registry
from secateur.criteria import CRITERIA
from secateur.granularity import GRANULARITIES
from secateur.regularizers import REGULARIZERS
from secateur.repair import REPAIRS
from secateur.schedules import SCHEDULES
from secateur.search import SEARCHES
from secateur.surgeries import SURGERIES

SCHEMA = 1

#: Tables that name a plug-in, and where they look it up. `repair` is a list of such tables.
_PARTS: dict[str, Registry[Any]] = {
    "criterion": CRITERIA,
    "granularity": GRANULARITIES,
    "allocation": ALLOCATIONS,
    "schedule": SCHEDULES,
    "regularizer": REGULARIZERS,
    "surgery": SURGERIES,
    "repair": REPAIRS,
}
#: Plug-ins that are no part of a recipe, but have settings as well.
_OTHERS: dict[str, Registry[Any]] = {"search": SEARCHES}
_TRAINING = ("sparsify", "finetune")
_NEEDED = ("criterion", "granularity", "allocation", "schedule")


def recipe_to_toml(recipe: Recipe) -> str:
    """The recipe as TOML text; `recipe_from_toml` reads it back to an equal recipe."""
    lines = [f"schema = {SCHEMA}"]
    if recipe.budget is not None:
        lines.append(f"budget = {_literal(str(recipe.budget))}  # what remains")
    if recipe.rewind is not None:
        lines.append(f"rewind = {_literal(recipe.rewind)}  # epochs of sparsify")
    if recipe.paper is not None:
        lines.append(f"paper = {_literal(recipe.paper.key)}")
    for part, registry in _PARTS.items():
        value = getattr(recipe, part)
        many = value if isinstance(value, tuple) else () if value is None else (value,)
        header = f"[[{part}]]" if isinstance(value, tuple) else f"[{part}]"
        for one in many:
            lines += ["", header, f"name = {_literal(registry.name_of(one))}", *_fields(one)]
    for part in _TRAINING:
        value = getattr(recipe, part)
        if value is not None:
            lines += ["", f"[{part}]", *_fields(value)]
    return "\n".join(lines) + "\n"


def recipe_from_toml(text: str) -> Recipe:
    """Read a recipe.

    Raises:
        CodecError: the text is not TOML, is of another schema, or has parts or settings that do not exist.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CodecError(
            f"the recipe is not TOML: {error}. `secateur list recipes --card li2017` shows one."
        ) from error
    if table.pop("schema", None) != SCHEMA:
        raise CodecError(f"the recipe must begin with schema = {SCHEMA}. A newer file needs a newer Secateur.")
    known = {"budget", "paper", "rewind", *_PARTS, *_TRAINING}
    problems = [f"unknown entry {name!r}" for name in table if name not in known]
    problems += [f"missing table [{name}]" for name in _NEEDED if name not in table]
    if problems:
        raise CodecError(f"the recipe has {', '.join(problems)}. Allowed entries: {', '.join(sorted(known))}.")
    parts: dict[str, Any] = {name: _part(name, table[name]) for name in _PARTS if name in table}
    parts |= {name: made(name, FineTune, table[name]) for name in _TRAINING if name in table}
    budget, paper = table.get("budget"), table.get("paper")
    return Recipe(
        **parts,
        budget=Budget(str(budget)) if budget is not None else None,
        paper=Paper(str(paper)) if paper is not None else None,
        rewind=_rewind(table.get("rewind")),
    )


def _rewind(value: Any) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
        raise CodecError(f"rewind must be a number of epochs, 0 or more, got {value!r}.")
    return None if value is None else float(value)


def _part(name: str, value: Any) -> Any:
    if name == "repair":
        return tuple(part_from(name, one) for one in (value if isinstance(value, list) else [value]))
    return part_from(name, value)


def part_from(part: str, settings: Any) -> Any:
    """A plug-in from its name and settings: `part_from("granularity", {"name": "n_m", "n": 1, "m": 4})`.

    Raises:
        CodecError: there is no such part, or it has no such setting, or the setting is of another type.
    """
    registry = (_PARTS | _OTHERS)[part]
    if not isinstance(settings, Mapping) or not isinstance(settings.get("name"), str):
        raise CodecError(f"[{part}] must be a table with a name, got {settings!r}. Known: {', '.join(registry)}.")
    try:
        kind = registry[settings["name"]]
    except UnknownNameError as error:
        raise CodecError(str(error)) from error
    return made(part, kind, {k: v for k, v in settings.items() if k != "name"})


def made(part: str, kind: type[Any], settings: Any) -> Any:
    """An instance of `kind`; a setting must exist and be of the type that its default has."""
    defaults = {f.name: f.default for f in fields(kind)}
    if not isinstance(settings, Mapping):
        raise CodecError(f"[{part}] must be a table, got {settings!r}.")
    for name, value in settings.items():
        if name not in defaults:
            raise CodecError(f"[{part}] has no setting {name!r}. It has: {', '.join(defaults) or 'none'}.")
        wanted = type(defaults[name])
        fits = isinstance(value, wanted) or (wanted is float and isinstance(value, int))
        if not fits or isinstance(value, bool) != (wanted is bool):
            raise CodecError(f"[{part}] {name} must be a {wanted.__name__}, got {value!r}.")
    return kind(**settings)


def _fields(value: Any) -> list[str]:
    return [f"{f.name} = {_literal(getattr(value, f.name))}" for f in fields(value)]


def _literal(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str() if value.isprintable() and '"' not in value and "\\" not in value:
            return f'"{value}"'
        case _:
            raise CodecError(
                f"{value!r} cannot be written to a recipe. Settings are numbers, truth values and plain words."
            )
