"""`secateur measure`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from secateur.cli.targets import load_file, read_target
from secateur.cli.trace import INPUTS, MODEL
from secateur.cli.userdata import user_data
from secateur.core.report import Measurement


def measure(
    model: MODEL,
    load: Annotated[
        Path | None,
        typer.Option(help="A network saved by `secateur compress`, to be measured in place of the dense one."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Python file with evaluate(model) or test_batches(); by default the network's own file."),
    ] = None,
    runtime: Annotated[list[str] | None, typer.Option(help="torch, onnxruntime or openvino; may be repeated.")] = None,
    threads: Annotated[int, typer.Option(help="Threads that the runtime may use.")] = 1,
    inputs: INPUTS = None,
) -> None:
    """Measure one network: parameters, non-zeros, MACs, bytes on disk, latency, quality."""
    from secateur.files import load as load_network  # noqa: PLC0415  keeps `secateur --help` quick
    from secateur.measure import measure as run  # noqa: PLC0415

    target = read_target(model, inputs)
    network = load_network(load, target.model) if load else target.model
    quality = user_data(load_file(data) if data else target.file).quality
    found = run(network, target.example_inputs, quality=quality, runtimes=tuple(runtime or ("torch",)), threads=threads)
    Console().print(measurement_table(found, title=str(load or model)))


def measurement_table(found: Measurement, title: str) -> Table:
    """One row per figure."""
    table = Table(title=title, title_justify="left", show_header=False)
    rows = [
        *((name, f"{value:.4f}") for name, value in found.quality.items()),
        ("parameters", f"{found.params:,}"),
        ("non-zero", f"{found.nonzeros:,}"),
        ("MACs", f"{found.macs:,}"),
        ("bytes on disk", f"{found.bytes:,}"),
        *(
            (
                f"latency, {x.runtime}",
                f"{x.p50:.3f} ms (p90 {x.p90:.3f}); {x.device}, threads {x.threads}, batch {x.batch}, {x.repeats} runs",
            )
            for x in found.latency
        ),
    ]
    for row in rows:
        table.add_row(*row)
    return table
