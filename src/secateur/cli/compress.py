"""`secateur compress`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from secateur.cli.progress import bars
from secateur.cli.targets import load_file, read_target
from secateur.cli.trace import INPUTS, MODEL
from secateur.cli.userdata import user_data
from secateur.core.errors import UnsupportedError
from secateur.core.recipe import Recipe
from secateur.core.settings import read_settings
from secateur.planning import Constraints

_INTERRUPTED = "Interrupted. Nothing is lost: the same command with [bold]--resume[/] goes on where it stopped."


def compress(
    model: MODEL,
    recipe: Annotated[
        str, typer.Option(help="A published method (`secateur list recipes`), or a FILE.toml of your own.")
    ] = "li2017",
    granularity: Annotated[
        str | None,
        typer.Option(
            help="What one unit is (`secateur list granularities`), instead of the recipe's: layer cuts depth, "
            "n_m(1, 4) keeps one weight of four, block(size=16) takes settings by name."
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="What may [bold]remain[/] of macs, params, weights or units: '0.5 macs', 'half the params'. Or how "
            "long one forward pass on the example inputs may take: '8 ms', '0.5 latency' (of the dense network's), '8 "
            "ms in onnxruntime on 2 threads'; widths are then found by measuring, before any training."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Python file with train_batches(), test_batches(), evaluate(model), train(model) or "
            "loss(output, target); by default the network's own file."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for network, plan and report.")] = Path("compressed"),
    multiple: Annotated[
        int, typer.Option(help="Keep widths that divide by this; 16 suits processors with 512-bit registers.")
    ] = 1,
    freeze: Annotated[
        list[str] | None,
        typer.Option(
            help="Pattern of groups or residual blocks that lose nothing, 'stem.*'; may be repeated. A group has the "
            "name of its first layer: `secateur trace` shows them."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Pattern of groups or residual blocks that may be cut, all others stay; may be repeated."),
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Epochs of fine-tuning after each cut, instead of the recipe's.")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Peak learning rate of fine-tuning, instead of the recipe's.")
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help="Of fine-tuning: sgd or adam, instead of the recipe's.")] = None,
    seed: Annotated[int, typer.Option(help="For everything random.")] = 0,
    onnx: Annotated[bool, typer.Option(help="Also write an ONNX file and measure it in ONNX Runtime.")] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on where an interrupted run of the same command stopped; it ends as if it had not been.",
        ),
    ] = False,
    inputs: INPUTS = None,
) -> None:
    """Make a network smaller by a published method, prove that nothing else changed, and measure.

    Writes model.safetensors (network and plan, no pickle), plan.json, report.json and report.html into --out.
    Without data, a data-free recipe prunes once and trains nothing.

    While it trains, the state of everything is kept in checkpoint.pt in --out. If the run is interrupted, even by a
    power cut, the same command with --resume goes on from there.
    """
    from secateur.files import export, save, save_plan  # noqa: PLC0415  keeps `secateur --help` quick
    from secateur.pipeline import compress as run  # noqa: PLC0415
    from secateur.report import table, widths_table, write_html, write_json  # noqa: PLC0415
    from secateur.run import Run  # noqa: PLC0415

    console = Console()
    how = _tuned(_of(read_recipe(recipe), granularity), epochs=epochs, lr=lr, optimizer=optimizer)
    target = read_target(model, inputs)
    found = user_data(load_file(data) if data else target.file)
    rules = Constraints(multiple=multiple, frozen=tuple(freeze or ()), only=tuple(only or ()))
    runtimes = ("torch", "onnxruntime") if onnx else ("torch",)
    out.mkdir(parents=True, exist_ok=True)
    with bars(console) as progress:
        settings = Run(
            loss=found.loss,
            train=found.train,
            constraints=rules,
            runtimes=runtimes,
            checkpoint=out / "checkpoint.pt",
            resume=resume,
            progress=progress,
        )
        try:
            made = run(
                target.model,
                how,
                example_inputs=target.example_inputs,
                budget=budget,
                data=found.batches,
                quality=found.quality,
                seed=seed,
                run=settings,
            )
        except KeyboardInterrupt:
            console.print(_INTERRUPTED if settings.checkpoint and settings.checkpoint.exists() else "Interrupted.")
            raise typer.Exit(130) from None
    save(made.model, made.plan, out / "model.safetensors")
    save_plan(made.plan, out / "plan.json")
    write_json(made.report, out / "report.json")
    write_html(made.report, out / "report.html")
    (out / "checkpoint.pt").unlink(missing_ok=True)  # its work is done
    console.print(table(made.report))
    console.print(widths_table(made.report))
    if onnx:
        difference = export(made.model, target.example_inputs, out / "model.onnx")
        console.print(f"ONNX Runtime = PyTorch: largest relative difference {difference:.1e}.")
    asked, reached = made.plan.provenance.budget, made.plan.provenance.reached
    console.print(f"Asked for {asked}, reached {reached:.4g}. Files are in [bold]{out}[/].")
    if found.batches is None and found.train is None:
        console.print(
            "No data was given, so nothing was trained. Offer train_batches() or train(model) in a Python file, --data."
        )


def read_recipe(text: str) -> Recipe:
    """The recipe of that name, or in that file."""
    from secateur.files import read_text, recipe_from_toml  # noqa: PLC0415  keeps `secateur --help` quick
    from secateur.methods import recipe as named  # noqa: PLC0415

    return recipe_from_toml(read_text(text)) if text.endswith(".toml") else named(text)


def _of(recipe: Recipe, granularity: str | None) -> Recipe:
    """The recipe with other units, if any are named, with their settings in brackets: `n_m(1, 4)`."""
    from secateur.files import part_from  # noqa: PLC0415  keeps `secateur --help` quick
    from secateur.granularity import GRANULARITIES  # noqa: PLC0415

    if granularity is None:
        return recipe
    name, settings = read_settings(granularity, GRANULARITIES)
    return replace(recipe, granularity=part_from("granularity", {"name": name, **settings}))


def _tuned(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe with other settings of fine-tuning; those that are None stay."""
    wanted = {name: value for name, value in changes.items() if value is not None}
    if not wanted:
        return recipe
    if recipe.finetune is None:
        raise UnsupportedError(f"this recipe does not fine-tune, so --{', --'.join(wanted)} cannot apply.")
    return replace(recipe, finetune=replace(recipe.finetune, **wanted))
