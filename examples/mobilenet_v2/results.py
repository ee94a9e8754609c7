"""Figures of every stage, as tables for people and as JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import photos
from agreement import Agreement, agreement, top1
from rich.console import Console
from rich.table import Table
from torch import Tensor

from secateur.core.report import Measurement


@dataclass(frozen=True)
class Stage:
    """What a network says about the held-out photos, after one step of the way.

    Attributes:
        name: The step.
        everything: Agreement with the dense network on all held-out photos.
        full_frames: The same on photos with their surroundings.
        stamps: The same on cut-outs.
        label_hits: Top-1 on the photos with a label, its standard error, and how many there are.
    """

    name: str
    everything: Agreement
    full_frames: Agreement
    stamps: Agreement
    label_hits: tuple[float, float, int]


def stage(name: str, found: Tensor, dense: Tensor, held_out: Sequence[photos.Photo]) -> Stage:
    """Compares logits on the held-out photos with the dense network's; the rows are in the order of the photos."""
    full = [row for row, photo in enumerate(held_out) if photo.full_frame]
    stamps = [row for row, photo in enumerate(held_out) if not photo.full_frame]
    parts = (agreement(found, dense, rows) for rows in (None, full, stamps))
    return Stage(name, *parts, top1(found, held_out))


def show(stages: Sequence[Stage], sizes: Mapping[str, Measurement], console: Console) -> None:
    """Prints the two tables."""
    console.print(_answers(stages))
    console.print(_costs(sizes))


def write(path: Path, stages: Sequence[Stage], sizes: Mapping[str, Measurement], settings: Mapping[str, Any]) -> None:
    """Writes everything as JSON."""
    found = {
        "settings": dict(settings),
        "stages": [asdict(each) for each in stages],
        "networks": {name: asdict(each) for name, each in sizes.items()},
    }
    path.write_text(json.dumps(found, indent=2) + "\n")


def _answers(stages: Sequence[Stage]) -> Table:
    first = stages[0]
    counts = (first.everything.photos, first.full_frames.photos, first.stamps.photos)
    table = Table(title="Held-out photos: top-1 agreement with the dense network, logit error, top-1 by label")
    table.add_column("network", no_wrap=True)
    for name, count in zip(("all", "full frames", "cut-outs"), counts, strict=True):
        table.add_column(f"{name} ({count})", justify="right", no_wrap=True)
    table.add_column("logit error", justify="right")
    table.add_column(f"labels ({first.label_hits[2]})", justify="right", no_wrap=True)
    for each in stages:
        agreements = [_with_error(a.top1, a.stderr) for a in (each.everything, each.full_frames, each.stamps)]
        table.add_row(each.name, *agreements, f"{each.everything.error:.3f}", _with_error(*each.label_hits[:2]))
    return table


def _costs(sizes: Mapping[str, Measurement]) -> Table:
    table = Table(title="Size, and latency of one photo on one thread (median / 90th percentile, measured in turn)")
    table.add_column("network", no_wrap=True)
    runtimes = [f"{time.runtime}, ms" for time in next(iter(sizes.values())).latency]
    for name in ("parameters", "MACs", "bytes", *runtimes):
        table.add_column(name, justify="right", no_wrap=True)
    for name, each in sizes.items():
        times = [f"{time.p50:.2f} / {time.p90:.2f}" for time in each.latency]
        table.add_row(name, f"{each.params:,}", f"{_macs(each) / 1e6:.1f} M", f"{each.bytes:,}", *times)
    return table


def _macs(each: Measurement) -> int:
    return int(each.macs)


def _with_error(share: float, stderr: float) -> str:
    return f"{share:.3f} ± {stderr:.3f}"
