"""The page: what each search found, on average over seeds, and a picture of the best so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from secateur.report.lines import Axes, lines_svg

PAGE = Path(__file__).parents[2] / "docs" / "search.md"
PICTURE = PAGE.with_suffix(".svg")

_HEAD = """\
# Searches for how much to keep where

Written by `make bench-search`. A ResNet-20 of half width is trained on the first 55,000 training pictures of
Fashion-MNIST, and half of its multiply-accumulates may stay. Magnitude says which channels go; each search says how
many of each group stay. A candidate is cut, its batch-norm statistics are estimated anew, and its top-1 on 2,000
training pictures that trained nothing is its quality: nothing else is trained, and no search sees a test picture. All
may ask the same number of times. `uniform` has one choice only and is the control, `random` is the control for the
rest. In the end each winner is judged on the 10,000 test pictures, as it is and after one epoch of training, the same
for all. Top-1 in %, mean ± sample standard deviation over the seeds, which draw the trained network too."""

_END = """\
*Asked* is how often a quality was asked for, *different* how many different choices that were; equal choices are
answered from memory. *Seconds* are for one evaluation. *Same again* counts winners that were made anew from the saved
study alone, with the same plan and the same quality. `netadapt` is above the budget until its last step, so that its
line begins late."""


def page(records: Sequence[Mapping[str, Any]]) -> str:
    """The whole page as Markdown."""
    seeds = len({r["seed"] for r in records})
    dense = f"Dense: {_spread([r['test_dense'] for r in _first(records)])} on test pictures; {seeds} seed(s)."
    return "\n\n".join([_HEAD, dense, table(records), _END, "![Best quality so far](search.svg)"]) + "\n"


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """One row for every search, best on held-out pictures last."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        by_name.setdefault(record["search"], []).append(record)
    head = ["search", "held out", "test", "test, trained", "asked", "different", "seconds", "same again"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name in sorted(by_name, key=lambda name: mean(r["held_out"] for r in by_name[name])):
        mine = by_name[name]
        figures = [_spread([r[key] for r in mine]) for key in ("held_out", "test_before", "test_after")]
        each = mean(r["seconds"] / r["different"] for r in mine)
        counts = [f"{mean(r[key] for r in mine):.0f}" for key in ("evaluations", "different")]
        lines.append([name, *figures, *counts, f"{each:.2f}", f"{sum(r['reproduced'] for r in mine)} of {len(mine)}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def picture(records: Sequence[Mapping[str, Any]]) -> str:
    """Means over seeds of the best quality so far, every tenth evaluation."""
    lines = {}
    for name in dict.fromkeys(r["search"] for r in records):
        courses = [r["course"] for r in records if r["search"] == name]
        shared = [mean(step) for step in zip(*courses, strict=False) if min(step) >= 0]
        late = len(min(courses, key=len)) - len(shared)
        lines[name] = [(10.0 * (late + n + 1), value) for n, value in enumerate(shared)]
    return lines_svg(lines, Axes("Best quality so far", "evaluations", "top-1 on held-out pictures"))


def _first(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One record for each seed."""
    return list({r["seed"]: r for r in records}.values())


def _spread(values: Sequence[float]) -> str:
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"
