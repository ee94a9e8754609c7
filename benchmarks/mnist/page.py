"""docs/mnist.md, from the records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.mnist.methods import ENTRIES, Paper
from benchmarks.mnist.run import CHANNELS, DENSE

PAGE = Path("docs/mnist.md")
TITLES = {"lenet_300_100": "LeNet-300-100, 266,610 parameters", "lenet5": "LeNet-5 (Caffe), 431,080 parameters"}
HEAD = """# MNIST, the oldest table

Written by `make bench-mnist`. Every network is trained on all 60,000 training images and judged after its last epoch
on the 10,000 test images. Settings of `own` and `DNS` were tried on LeNet-300-100 with 5,000 images held out of the
training set and taken over to LeNet-5; those of all other rows were set beforehand and not tuned. All rows of a seed
start from one dense network, which has seen moved images; `own` sees them while it prunes too, with the dense network
as teacher. Figures are means over seeds with the sample standard deviation; the standard error of one test error is
about 0.09 points at 0.8 % and 0.13 at 1.6 %. `left` counts weights and biases that are not zero, `factor` is all
parameters over those; CPU minutes are those after the dense training. Papers count in their own way, train for other
lengths of time, and start from other dense networks.
"""


def page(records: Sequence[dict[str, Any]]) -> str:
    """The whole page."""
    tables = [_table(net, [r for r in records if r["net"] == net]) for net in TITLES]
    channels = [r for r in records if r["net"].endswith(CHANNELS)]
    return "\n".join([HEAD, *tables, _channels(channels) if channels else ""]).rstrip() + "\n"


def _table(net: str, records: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"\n## {TITLES[net]}\n",
        "| method | seeds | dense error % | left | factor | error % | paper's factor | paper's error % | CPU minutes |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, entry in ENTRIES.items():
        rows = [r for r in records if r["method"] == name]
        if rows and net in entry.recipe:
            paper = entry.paper.get(net)
            told = _told(paper) if paper else ("", "")
            cells = [
                name,
                str(len(rows)),
                _mean([r["dense error"] for r in rows], 2),
                f"{mean(r['left'] for r in rows):,.0f}",
                f"{_mean([r['factor'] for r in rows], 1)} x",
                _mean([r["error"] for r in rows], 2),
                *told,
                f"{mean(r['seconds'] for r in rows) / 60:.1f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _channels(records: Sequence[dict[str, Any]]) -> str:
    lines = [
        "\n## LeNet-5, channels, a quarter of the MACs\n",
        "The library's recipes, six epochs each of which up to four go before the cut. `cost` is CPU time over that of",
        f"the dense training ({DENSE['lenet5']} epochs on moved images).\n",
        "| method | seeds | dense error % | MACs | left | error % | cost |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in ENTRIES:
        rows = [r for r in records if r["method"] == name]
        if rows:
            cells = [
                name,
                str(len(rows)),
                _mean([r["dense error"] for r in rows], 2),
                f"{mean(r['macs'] for r in rows):.3f}",
                f"{mean(r['left'] for r in rows):,.0f}",
                _mean([r["error"] for r in rows], 2),
                f"{mean(r['cost'] for r in rows):.2f} x",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _told(paper: Paper) -> tuple[str, str]:
    return f"{paper.factor:g} x", "no loss" if paper.error is None else f"{paper.error:.2f}"


def _mean(values: Sequence[float], digits: int) -> str:
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{spread}"
