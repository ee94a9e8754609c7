"""`secateur trace`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from secateur.cli.targets import read_target
from secateur.core.errors import IncompatibleError
from secateur.core.groups import ChannelGraph
from secateur.files.atomic import write_text
from secateur.graph.cost import cost
from secateur.graph.trace import trace as trace_model

#: Tensors of a group that are named before the rest is only counted.
_SHOWN = 6

MODEL = Annotated[str, typer.Argument(help="FILE.py:FUNCTION, zoo:NAME, torchvision:NAME or timm:NAME.")]
INPUTS = Annotated[str | None, typer.Option(help="Shape of the example input, 1x3x224x224, if the file offers none.")]


def trace(
    model: MODEL,
    inputs: INPUTS = None,
    every: Annotated[
        bool, typer.Option("--every", help="Name every tensor of a group, and draw every row, however many.")
    ] = False,
    heads: Annotated[
        bool, typer.Option("--heads", help="Let attention lose whole heads, not positions that are the same in all.")
    ] = False,
    depth: Annotated[
        bool, typer.Option("--depth", help="Also look for residual blocks that can be taken out as a whole.")
    ] = False,
    draw: Annotated[
        Path | None,
        typer.Option(
            help="Also draw it, from the first layer down to the last: [bold]FILE.svg[/] is a picture for a browser, "
            "[bold]FILE.txt[/] the same in signs. Bands are units that are cut together, boxes are weights."
        ),
    ] = None,
) -> None:
    """Show what can be cut, what moves together, and what is pinned and why."""
    form = _form(draw)
    target = read_target(model, inputs)
    graph = trace_model(target.model, target.example_inputs, heads=heads, depth=depth)
    console = Console()
    console.print(groups_table(graph, every))
    pinned = [g for g in graph.groups.values() if g.pinned]
    if pinned:
        console.print(pinned_table(graph))
    total = cost(graph)
    console.print(
        f"{len(graph.cuttable)} groups with {total.units:,} units can be cut, {len(pinned)} are pinned. "
        f"{total.params:,} parameters, {total.macs:,} multiply-accumulates on the example inputs."
    )
    if graph.blocks:
        console.print(f"{len(graph.blocks)} residual blocks can go as a whole: {', '.join(graph.blocks)}.")
    for name, times in graph.unknown.items():
        console.print(f"[yellow]no rule for operator {name}[/] (met {times} times): what it touches is pinned.")
    if draw is not None:
        write_text(draw, graph.draw(form, every=every))
        console.print(f"The drawing is in [bold]{escape(str(draw))}[/].")


def _form(path: Path | None) -> Literal["text", "svg"]:
    """The form of a drawing, from the end of its file's name."""
    match path.suffix.lower() if path is not None else ".txt":
        case ".svg":
            return "svg"
        case ".txt":
            return "text"
        case _:
            raise IncompatibleError(f"cannot draw into {str(path)!r}. Write --draw FILE.svg or --draw FILE.txt.")


def groups_table(graph: ChannelGraph, every: bool = False) -> Table:
    """One row per group that may be cut."""
    table = Table(title="Can be cut", title_justify="left", title_style="bold")
    table.add_column("group")
    table.add_column("units", justify="right")
    table.add_column("lives in (what is cut together)")
    for group in graph.cuttable.values():
        named = [f"{s.tensor}[{s.dim}]" for s in group.slots]
        shown = named if every else named[:_SHOWN]
        places = ", ".join(shown) + (f" and {len(named) - len(shown)} more" if len(shown) < len(named) else "")
        note = "" if group.exact else "  (norm statistics are taken over live units)"
        table.add_row(Text(group.name), str(group.units), Text(places + note))
    return table


def pinned_table(graph: ChannelGraph) -> Table:
    """One row per group that may not be cut, with the reason."""
    table = Table(title="Pinned", title_justify="left", title_style="bold")
    table.add_column("group")
    table.add_column("units", justify="right")
    table.add_column("why")
    for group in graph.groups.values():
        if group.pinned:
            table.add_row(Text(group.name), str(group.units), Text(group.pinned))
    return table
