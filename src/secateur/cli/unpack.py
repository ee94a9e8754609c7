"""`secateur unpack`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from secateur.cli.inspect import ENTRIES


def unpack(
    path: Annotated[Path, typer.Argument(help="A file written by `secateur pack`.")],
    out: Annotated[Path, typer.Argument(help="The safetensors file to write.")],
    entries: ENTRIES = None,
) -> None:
    """Turn a packed file into plain safetensors, bit for bit, for any program that reads those.

    No network is needed, and nothing in the file is run. In Python, [bold]secateur.unpack(path, model)[/] gives the
    network itself; of one that was shrunk, it rebuilds the widths from the dense one.
    """
    from secateur.coding import unpack as run  # noqa: PLC0415  keeps `secateur --help` quick
    from secateur.files import write_bytes  # noqa: PLC0415
    from secateur.files.container import serialise  # noqa: PLC0415

    found = run(path, entries=entries)
    content = serialise({name: tensor.clone() for name, tensor in found.items()})
    write_bytes(out, content)
    Console().print(f"{out}: {len(found)} tensors, {len(content):,} bytes; {path} has {path.stat().st_size:,}.")
