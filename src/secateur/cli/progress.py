"""Progress bars for long work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from secateur.core.contracts import Progress


@contextmanager
def bars(console: Console) -> Iterator[Progress]:
    """A callback `(what, done, total)` that draws one bar for each kind of work."""
    columns = (
        TextColumn("{task.description:<38}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=False) as drawing:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            work = what.partition(",")[0]  # what follows a comma is news about the same work
            if work not in tasks:
                tasks[work] = drawing.add_task(what, total=total or None)
            elif done == 1:
                drawing.reset(tasks[work], total=total or None)
            drawing.update(tasks[work], completed=done, description=what)

        yield show
