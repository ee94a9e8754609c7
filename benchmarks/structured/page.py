"""docs/structured.md, from the records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.structured.methods import EARLY, ENTRIES, EPOCHS, SCRATCH, TRAINED, how_long
from benchmarks.structured.run import TRAINED_ON

PAGE = Path("docs/structured.md")
HEAD = f"""# Channels that go while a network trains

Written by `make bench-structured`. A small ResNet (one block a stage; 8, 16 and 32 channels) on Fashion-MNIST loses
channels until half of the multiply-accumulates are left. So that all of it takes half an hour on one core, everything
is trained on the first {TRAINED_ON:,} training images, and a dense training has {EPOCHS:g} epochs (SGD, peak learning
rate 0.1, along a cosine). Each method is held to the time of one dense training: those that start from scratch have
{EPOCHS:g} epochs in all, {SCRATCH[0]:g} of them before the cut; those that want a trained network start from one of
{EARLY:g} epochs and have the other {EPOCHS - EARLY:g}, {TRAINED[0]:g} of them before the cut (Li's method: none). The
first row is Li's method as it is mostly used, from a network that was trained in full, and longer than all others by a
quarter. After the cut all have the same repairs: a channel's constant is folded into the next bias, and batch-norm
statistics are estimated again.

Top-1 in % on the 10,000 test images after the last epoch, mean ± sample standard deviation over the seeds, which draw
weights and the order of images; `dense` is the dense network of the same seeds, trained in full, and `difference` is
taken seed by seed. `after the cut` is top-1 right after cut and repairs, before anything is trained on:
it says how far training had driven to zero what then went. `cost` is CPU time, cut and checks included, over that of
one dense training, by dense steps that are timed in between in the same process; for those that start from a trained
network its training is counted too.
"""
CHOSEN = """
## What was chosen, and how

One figure of each method's own, and the learning rate after the cut (what stands behind `at`, or alone), with seed 0,
by top-1 after the last epoch on the last 5,000 training images, which train nothing. Pairs are top-1 in % on them after
the cut and after the last epoch.
"""

#: What the table shows and why; figures stand in the tables.
END = f"""
## What falls short

- Held-out images did not always prefer the charge that drives most to zero: network slimming is best at its smallest
  strength, which leaves the cut some work to do. A training of a few epochs is short for charges that papers spread
  over a hundred or more.
- Scales of SSS are baked into weights, which become small, and in front of a batch norm small weights move fast: at the
  learning rates tried after the cut, networks of its two larger strengths end below where they were right after the
  cut, and so do those of SSL at its largest. Smaller learning rates were not tried.
- SFP from scratch fails here. A filter that is set to zero in front of a batch norm gets gradients 1 / sqrt(eps), about
  300 times, as large, comes back larger than those that were never touched, and is ranked above them. From a trained
  network, at a small learning rate, less of it happens.
- Li's longer row costs more than its quarter: masks are multiplied in at every step after the cut, and the cut with its
  checks counts too, against a dense training that is short.
- With three seeds most differences between the rows around Li's are within their spread.
- All of it is small: few epochs, {TRAINED_ON:,} images, one block a stage. A row says how methods compare when time is
  short; it says little about the papers' own settings.
"""


def page(records: Sequence[dict[str, Any]], tried: Sequence[dict[str, Any]]) -> str:
    """The whole page."""
    return "\n".join([HEAD, table(records), CHOSEN, choices(tried), END]).rstrip() + "\n"


def table(records: Sequence[dict[str, Any]]) -> str:
    """One row for every method."""
    lines = [
        "| method | starts from | epochs | seeds | MACs | dense | after the cut | top-1 | difference | cost |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, entry in ENTRIES.items():
        rows = [r for r in records if r["method"] == name and (r["figure"], r["after"]) == entry.chosen]
        if rows:
            cells = [
                name,
                f"dense, {entry.start:g} epochs" if entry.start else "scratch",
                f"{how_long(name):g}",
                str(len(rows)),
                f"{mean(r['macs'] for r in rows):.3f}",
                *(_spread([r[key] for r in rows]) for key in ("dense", "after the cut", "top1")),
                _spread([r["top1"] - r["dense"] for r in rows]),
                _spread([r["cost"] for r in rows]) + " x",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def choices(tried: Sequence[dict[str, Any]]) -> str:
    """What was tried for every method, and which of it was taken."""
    lines = ["| method | figure | tried | chosen |", "|---|---|---|---|"]
    for name, entry in ENTRIES.items():
        rows = sorted((r for r in tried if r["method"] == name), key=lambda r: (r["figure"], r["after"]))
        if rows:
            pairs = [f"{_told(r['figure'], r['after'])}: {r['after the cut']:.1f}, {r['top1']:.1f}" for r in rows]
            lines.append(f"| {name} | {entry.figure} | {'; '.join(pairs)} | {_told(*entry.chosen)} |")
    return "\n".join(lines)


def _told(figure: float, after: float) -> str:
    return f"{figure:g} at {after:g}" if figure else f"{after:g}"


def _spread(values: Sequence[float]) -> str:
    spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{mean(values):.2f}{spread}"
