"""`secateur export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from secateur.cli.targets import read_target
from secateur.cli.trace import INPUTS, MODEL


def export(
    model: MODEL,
    path: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
    load: Annotated[
        Path | None, typer.Option(help="A network saved by `secateur compress`, in place of the dense one.")
    ] = None,
    inputs: INPUTS = None,
) -> None:
    """Write a network as ONNX and check ONNX Runtime's answers against PyTorch's."""
    from secateur.files import export as run  # noqa: PLC0415  keeps `secateur --help` quick
    from secateur.files import load as load_network  # noqa: PLC0415

    target = read_target(model, inputs)
    network = load_network(load, target.model) if load else target.model
    difference = run(network, target.example_inputs, path)
    Console().print(f"{path}: ONNX Runtime = PyTorch, largest relative difference {difference:.1e}.")
