"""`secateur inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from secateur.cli.pack import packed_table

ENTRIES = Annotated[
    int | None,
    typer.Option(help="How many entries the file may claim; raise it for a large file that you trust.", min=1),
]


def inspect(
    path: Annotated[Path, typer.Argument(help="A file written by `secateur pack`.")], entries: ENTRIES = None
) -> None:
    """Show what a packed file holds and what each tensor costs; everything is decoded, and so checked.

    No network is needed, and nothing in the file is run. [bold]form[/] says how zeros are told from the rest,
    [bold]values by[/] which codec wrote the others, [bold]smaller[/] compares with every entry in its own type.
    """
    from secateur.coding import inspect as run  # noqa: PLC0415  keeps `secateur --help` quick

    Console().print(packed_table(run(path, entries=entries)))
