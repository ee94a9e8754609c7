"""`secateur report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def report(
    path: Annotated[Path, typer.Argument(help="report.json, as written by `secateur compress` or `secateur demo`.")],
    html: Annotated[Path | None, typer.Option(help="Also write it as a page that opens offline.")] = None,
) -> None:
    """Show a saved report as a table again."""
    from secateur.report import read_json, table, widths_table, write_html  # noqa: PLC0415

    found = read_json(path)
    console = Console()
    console.print(table(found))
    console.print(widths_table(found))
    if html is not None:
        write_html(found, html)
        console.print(f"{html}")
