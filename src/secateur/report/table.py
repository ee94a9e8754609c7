"""A report as tables for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secateur.core.report import CompressionReport
from secateur.report.numbers import count, share
from secateur.report.rows import rows
from secateur.report.sentences import headline, notes

if TYPE_CHECKING:
    from rich.table import Table


def table(report: CompressionReport) -> Table:
    """Before, after and change side by side, one more column for every control, conditions in the caption."""
    from rich.table import Table  # noqa: PLC0415  only those who print need it
    from rich.text import Text  # noqa: PLC0415  plain text: a name like "[red]" must not become a colour

    found = Table(
        title=Text(headline(report)),
        caption=Text("\n".join(notes(report))),
        title_justify="left",
        caption_justify="left",
    )
    found.add_column("")
    for name in ("before", "after", "change", *report.controls):
        found.add_column(Text(name), justify="right", style="bold" if name == "after" else None)
    for row in rows(report):
        found.add_row(*(Text(x) for x in (row.label, row.before, row.after, row.change, *row.controls)))
    return found


def widths_table(report: CompressionReport) -> Table:
    """For every group in order of execution: units, what was asked for and reached; why, where nothing was to go."""
    from rich.table import Table  # noqa: PLC0415  only those who print need it
    from rich.text import Text  # noqa: PLC0415  plain text: a name like "[red]" must not become a colour

    found = Table(title="Widths", title_justify="left")
    found.add_column("group", overflow="fold")
    for name in ("before", "after", "asked", "reached"):
        found.add_column(name, justify="right")
    found.add_column("why it is not cut")
    for width in report.widths:
        figures = (count(width.before), count(width.after), share(width.asked), share(width.reached))
        found.add_row(Text(width.group), *figures, Text(width.whole_because))
    return found
