"""`secateur pack`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from secateur.cli.targets import read_target
from secateur.cli.trace import INPUTS, MODEL

if TYPE_CHECKING:
    from secateur.coding import Packed


def pack(
    model: MODEL,
    path: Annotated[Path, typer.Argument(help="The file to write, customarily *.sct.")],
    load: Annotated[
        Path | None,
        typer.Option(help="A network saved by `secateur compress`, in place of the dense one; its plan is packed too."),
    ] = None,
    inputs: INPUTS = None,
) -> None:
    """Write a network in as few bytes as it goes, bit for bit.

    Every tensor is written in several forms, and the shortest stays: zeros as gaps (Golomb-Rice), as steps with filler
    zeros (Deep Compression), by density, or cell by cell with a coder that learns from rows, columns and neighbours;
    values as levels of a codebook where there are few, else byte by byte. Prune and quantize first: weights that are
    all different hardly get smaller.

    [bold]secateur unpack[/] reads the file, [bold]secateur inspect[/] shows what each tensor costs.
    """
    from secateur.coding import pack as run  # noqa: PLC0415  keeps `secateur --help` quick
    from secateur.files import load as load_network  # noqa: PLC0415
    from secateur.files import load_plan  # noqa: PLC0415

    target = read_target(model, inputs)
    network = load_network(load, target.model) if load else target.model
    found = run(network, path, plan=load_plan(load) if load else None)
    Console().print(packed_table(found))


def packed_table(found: Packed) -> Table:
    """One row per tensor, and the sum."""
    table = Table(title=f"{found.path}", title_justify="left", show_footer=True)
    table.add_column("tensor", footer=f"names, shapes, seal{', plan' * found.planned}\nall", no_wrap=True)
    table.add_column("shape")
    table.add_column("type")
    table.add_column("non-zero", justify="right")
    table.add_column("form")
    table.add_column("values by")
    table.add_column("bytes", footer=f"{found.header:,}\n{found.bytes:,}", justify="right")
    table.add_column("smaller", footer=f"\n{found.dense / max(1, found.bytes):.1f} x", justify="right")
    for row in found.tensors:
        size = row.dense / max(1, row.bytes)
        shape = "x".join(map(str, row.shape)) or "1"
        table.add_row(
            row.name, shape, row.dtype, f"{row.nonzeros:,}", row.form, row.codec, f"{row.bytes:,}", f"{size:.1f} x"
        )
    return table
