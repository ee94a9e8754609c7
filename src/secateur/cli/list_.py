"""`secateur list`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from secateur.allocation import ALLOCATIONS
from secateur.bench.zoo import ZOO
from secateur.chain import STEPS
from secateur.coding import CODECS
from secateur.compact import COMPACTS
from secateur.core.contracts import Criterion
from secateur.core.registry import Registry
from secateur.criteria import CRITERIA
from secateur.distill import DISTILLATIONS
from secateur.evidence import COLLECTORS
from secateur.files import recipe_to_toml
from secateur.granularity import GRANULARITIES
from secateur.lowrank import FACTORIZERS
from secateur.methods import METHODS
from secateur.planning.check import granularities
from secateur.quantizers import QUANTIZERS
from secateur.regularizers import REGULARIZERS
from secateur.repair import REPAIRS
from secateur.schedules import SCHEDULES
from secateur.search import SEARCHES, ChannelGenetic, ParticleFilter
from secateur.surgeries import SURGERIES

KINDS: dict[str, Mapping[str, Any]] = {
    "recipes": METHODS,
    "criteria": CRITERIA,
    "granularities": GRANULARITIES,
    "allocations": ALLOCATIONS,
    "schedules": SCHEDULES,
    "searches": SEARCHES,
    "mask-searches": {"particle_filter": ParticleFilter, "channel_genetic": ChannelGenetic},
    "surgeries": SURGERIES,
    "regularizers": REGULARIZERS,
    "repairs": REPAIRS,
    "factorizers": FACTORIZERS,
    "distillations": DISTILLATIONS,
    "compacts": COMPACTS,
    "quantizers": QUANTIZERS,
    "steps": STEPS,
    "collectors": COLLECTORS,
    "codecs": CODECS,
    "models": {name: entry.make for name, entry in ZOO.items()},
}
#: "criterion" for "criteria", as errors call a kind.
_PLURALS = {items.kind: name for name, items in KINDS.items() if isinstance(items, Registry)}


def _kind(word: str) -> str:
    """The kind that a word names, in the singular or in the plural."""
    plural = _PLURALS.get(word, word)
    if plural not in KINDS:
        raise typer.BadParameter(f"{word!r} is none of {', '.join(KINDS)}.")
    return plural


def list_(
    kind: Annotated[
        str | None, typer.Argument(parser=_kind, metavar="KIND", help=f"Show one kind only: {', '.join(KINDS)}.")
    ] = None,
    card: Annotated[
        str | None, typer.Option(help="Show the whole card of one entry: paper, formula, shapes, cost.")
    ] = None,
) -> None:
    """List what there is: recipes, criteria, granularities and every other kind of part, and models."""
    console = Console()
    for name in [kind] if kind else KINDS:
        if card is None:
            console.print(kind_table(name, KINDS[name]))
        elif card in KINDS[name]:
            console.print(f"[bold]{name}: {card}[/]")
            console.print(inspect.getdoc(KINDS[name][card]), markup=False, highlight=False)
            if name == "recipes":
                console.print("\nAs a file, to copy and change (--recipe FILE.toml):\n", style="bold")
                console.print(recipe_to_toml(KINDS[name][card]()), markup=False, highlight=False)


def kind_table(name: str, items: Mapping[str, Any]) -> Table:
    """Names and first sentences, read from the classes themselves; of criteria also which granularities they meet."""
    table = Table(title=name, title_justify="left", title_style="bold", show_header=False, expand=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for key in items:
        row = [key, (inspect.getdoc(items[key]) or "").split("\n\n")[0].replace("\n", " ")]
        table.add_row(*row, *([_units(items[key])] if items is CRITERIA else []))
    return table


def _units(criterion: type[Criterion]) -> str:
    found = granularities(criterion.examples()[0])
    return "any unit" if len(found) == len(GRANULARITIES) else ", ".join(found)
