"""The application: verbs, errors and exit codes."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from secateur.cli.chain import chain
from secateur.cli.compress import compress
from secateur.cli.demo import demo
from secateur.cli.export import export
from secateur.cli.inspect import inspect
from secateur.cli.list_ import list_
from secateur.cli.measure import measure
from secateur.cli.pack import pack
from secateur.cli.report import report
from secateur.cli.search import search
from secateur.cli.trace import trace
from secateur.cli.unpack import unpack
from secateur.core.errors import SecateurError

app = typer.Typer(
    name="secateur",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="""Make a trained PyTorch network smaller and faster, and prove it.

Networks are written as

  [bold]FILE.py:FUNCTION[/]    your own: a function that returns the trained network; the file may also offer
                      example_inputs(), train_batches(), test_batches(), held_out_batches(),
                      evaluate(model), judge(model), train(model) and loss(output, target)
  [bold]zoo:NAME[/]            one of ours, untrained ([bold]secateur list models[/])
  [bold]torchvision:NAME[/]    from torchvision, untrained
  [bold]timm:NAME[/]           from timm, untrained

Start with [bold]secateur demo[/]; then [bold]secateur trace FILE.py:FUNCTION[/] to see what can be cut.""",
)
for verb in (demo, trace, compress, chain, search, measure, export, pack, unpack, inspect, report):
    app.command()(verb)
app.command(name="list")(list_)


def run() -> None:
    """Run the command line; an error of ours is one clear message and exit code 1."""
    err = Console(stderr=True)
    try:
        app()
    except SecateurError as error:
        err.print(f"[bold red]{type(error).__name__}[/]", end=" ")
        err.print(str(error), markup=False, highlight=False)
        sys.exit(1)
    except OSError as error:
        err.print("[bold red]cannot read or write[/]", end=" ")
        err.print(f"{error}. No half-written file was left behind.", markup=False, highlight=False)
        sys.exit(1)
