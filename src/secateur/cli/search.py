"""`secateur search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from secateur.cli.compress import read_recipe
from secateur.cli.progress import bars
from secateur.cli.targets import load_file, read_target
from secateur.cli.trace import INPUTS, MODEL
from secateur.cli.userdata import user_data
from secateur.core.errors import MissingEvidenceError
from secateur.core.settings import read_settings
from secateur.planning import Constraints


def search(
    model: MODEL,
    how: Annotated[
        str,
        typer.Option(help="How (`secateur list searches`), with settings in brackets: genetic(population=10)."),
    ] = "bayesian",
    budget: Annotated[
        str,
        typer.Option(
            help="What may [bold]remain[/] of macs, params, weights or units: '0.5 macs'. No time limits: those are "
            "for `secateur compress`."
        ),
    ] = "0.5 macs",
    recipe: Annotated[
        str,
        typer.Option(
            help="A published method (`secateur list recipes`), or a FILE.toml: its criterion says which units go, its "
            "repairs mend each candidate."
        ),
    ] = "li2017",
    evaluations: Annotated[int, typer.Option(help="Candidates that are tried, at most.")] = 200,
    data: Annotated[
        str | None,
        typer.Option(
            help="Python file with train_batches(), and held_out_batches() or judge(model) for the search to choose "
            "by; by default the network's own file. Test data are never looked at."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for plan, history and picture; a search that was broken off there goes on.")
    ] = Path("searched"),
    storage: Annotated[
        str | None,
        typer.Option(help="Where Optuna keeps the study: postgresql://user@host/name; by default a file in --out."),
    ] = None,
    multiple: Annotated[int, typer.Option(help="Keep widths that divide by this.")] = 1,
    freeze: Annotated[
        list[str] | None, typer.Option(help="Pattern of groups that lose nothing; may be repeated.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Pattern of groups that may be cut, all others stay; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="For everything random.")] = 0,
    inputs: INPUTS = None,
) -> None:
    """Find out how many units each block should keep, by trying many choices on held-out data.

    Writes plan.json, history.csv, search.json and search.svg into --out, with a journal from which the same search
    goes on. Ctrl-C keeps the best so far. No network is trained: `secateur compress` does that.
    """
    from secateur.files import part_from  # noqa: PLC0415  keeps `secateur --help` quick
    from secateur.files.atomic import write_text  # noqa: PLC0415
    from secateur.report.lines import search_svg  # noqa: PLC0415
    from secateur.search import SEARCHES  # noqa: PLC0415
    from secateur.searching import SearchRun  # noqa: PLC0415
    from secateur.searching import search as run  # noqa: PLC0415
    from secateur.searching.history import write_searched  # noqa: PLC0415

    console = Console()
    name, settings = read_settings(how, SEARCHES)
    method = part_from("search", {"name": name, **settings})
    target = read_target(model, inputs)
    found = user_data(load_file(data) if data else target.file)
    if found.judge is None:
        raise MissingEvidenceError(
            "the search has nothing to choose by. Offer held_out_batches() or judge(model) in a Python file, --data; "
            "take examples that were held out of the training data, and leave the test data alone."
        )
    rules = Constraints(multiple=multiple, frozen=tuple(freeze or ()), only=tuple(only or ()))
    with bars(console) as progress:
        how_ = SearchRun(
            evaluations=evaluations,
            seed=seed,
            out=out,
            storage=storage,
            repair=() if found.batches is None else None,
            constraints=rules,
            loss=found.loss,
            progress=progress,
        )
        made = run(
            target.model,
            read_recipe(recipe),
            budget,
            example_inputs=target.example_inputs,
            quality=found.judge,
            data=found.batches,
            how=method,
            run=how_,
        )
    files = write_searched(made, out)
    picture = write_text(out / "search.svg", search_svg({name: made}))
    table = Table(title="What each block keeps", title_justify="left", title_style="bold")
    for column in ("block", "units", "stay"):
        table.add_column(column, justify="left" if column == "block" else "right")
    for block in made.plan.blocks:
        table.add_row(block.name, str(block.units), str(made.plan.width(block.name)))
    console.print(table)
    ended = "broken off by Ctrl-C; run it again to go on" if made.broken_off else "done"
    console.print(
        f"{len(made.history)} evaluations ({ended}), best {made.quality:.4f} in number {made.best.number + 1}; dense "
        f"{made.dense:.4f}. Asked for {made.plan.provenance.budget}, reached {made.plan.provenance.reached:.4g}."
    )
    for file in (*files, picture):
        console.print(f"  {file}", highlight=False)
