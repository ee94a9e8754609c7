"""`secateur chain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from secateur.cli.progress import bars
from secateur.cli.targets import load_file, read_target
from secateur.cli.trace import INPUTS, MODEL
from secateur.cli.userdata import user_data
from secateur.core.errors import CodecError

if TYPE_CHECKING:
    from secateur.chain import Chained, Step


def chain(
    model: MODEL,
    steps: Annotated[
        list[str] | None,
        typer.Argument(
            help="Steps in their order, with settings in brackets: 'prune(li2017, 0.5 macs)' "
            "'quantize(kmeans(bits=4))' pack. `secateur list steps` shows them all."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--steps",
            help="A TOML file in place of words: tables called step, each with a name.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Python file with train_batches(), test_batches(), evaluate(model) or loss(output, target); by "
            "default the network's own file."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the files that steps write, and report.json.")] = Path(
        "compressed"
    ),
    seed: Annotated[int, typer.Option(help="For everything random.")] = 0,
    inputs: INPUTS = None,
) -> None:
    """Prune, factorize, rebuild, train, quantize and code, one after another; shows what each step contributed.

    Deep Compression is

      secateur chain net.py:make_model 'prune(han2015)' 'quantize(kmeans(bits=5), epochs=1)' pack

    An order that makes no sense is refused before anything is done.
    """
    from secateur.chain import ChainRun  # noqa: PLC0415  keeps `secateur --help` quick
    from secateur.chain import chain as run  # noqa: PLC0415
    from secateur.files import write_text  # noqa: PLC0415

    console = Console()
    asked = _from_file(file) if file else [_step(word) for word in steps or ()]
    target = read_target(model, inputs)
    found = user_data(load_file(data) if data else target.file)
    out.mkdir(parents=True, exist_ok=True)
    with bars(console) as progress:
        made = run(
            target.model,
            asked,
            example_inputs=target.example_inputs,
            data=found.batches,
            quality=found.quality,
            run=ChainRun(loss=found.loss, out=out, seed=seed, progress=progress),
        )
    write_text(out / "report.json", made.to_json())
    console.print(chain_table(made))
    for one in made.contributions[1:]:
        for line in one.told:
            console.print(f"{one.step}: {line}", highlight=False)
    console.print(f"Files are in [bold]{out}[/]." if made.path else f"The report is in [bold]{out}[/].")


def chain_table(made: Chained) -> Table:
    """A row for each step."""
    from secateur.chain.running import rows  # noqa: PLC0415

    head, *body = rows(made)
    table = Table(title="what each step contributed", title_justify="left")
    for number, name in enumerate(head):
        table.add_column(name, justify="left" if number == 0 else "right", no_wrap=number == 0)
    for row in body:
        table.add_row(*row)
    return table


def _step(word: str) -> Step:
    """A step from its words."""
    from secateur.chain import STEPS  # noqa: PLC0415
    from secateur.core.settings import read_settings  # noqa: PLC0415
    from secateur.files.recipes import made  # noqa: PLC0415

    name, settings = read_settings(word, STEPS)
    found: Step = made(name, STEPS[name], settings)
    return found


def _from_file(path: Path) -> list[Step]:
    """The steps of a file."""
    import tomllib  # noqa: PLC0415

    from secateur.chain import STEPS  # noqa: PLC0415
    from secateur.files import read_text  # noqa: PLC0415
    from secateur.files.recipes import made  # noqa: PLC0415

    try:
        table = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise CodecError(f"{str(path)!r} is not TOML: {error}. Write a table [[step]] for each step.") from error
    tables = table.get("step")
    if set(table) != {"step"} or not isinstance(tables, list):
        raise CodecError(
            f'{str(path)!r} must hold tables [[step]] and nothing else. Begin with [[step]], name = "prune".'
        )
    names = [one.pop("name", "") for one in tables]
    return [made(name, STEPS[name], one) for name, one in zip(names, tables, strict=True)]
