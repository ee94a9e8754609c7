"""The page: mean and standard deviation over seeds, one table for each network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "quality.md"

_HEAD = """\
# One-shot quality

Written by `make bench-quality`. Networks are cut and mended, and nothing is trained afterwards: what differs is which
units go, and how what stays is mended. All methods see the same calibration data, the same share of every layer goes
(unless a name says otherwise), and batch-norm statistics are estimated again after every cut. Mean ± sample standard
deviation over the seeds, which draw calibration data, the random choices and, on Fashion-MNIST, the trained network.
*Seconds* are CPU time for scores, plan and repairs at one budget, without collecting evidence, in the median.
The second table of each network has differences between two methods of one seed, in points, mean ± sample standard
deviation over seeds; **bold** where the mean is above the deviation."""

#: Who should beat whom: what looks at second derivatives, or at activations, magnitude; and magnitude chance.
PAIRS = (
    *((name, "magnitude") for name in ("wanda", "obs", "magnitude + obs_update", "sparsegpt", "exact_obs")),
    *((name, "magnitude") for name in ("obs_channel", "magnitude + least_squares")),
    ("magnitude", "random"),
)

TASKS: Mapping[str, tuple[str, str]] = {
    "fashion weights": (
        "Single weights of a ResNet on Fashion-MNIST",
        "ResNet-20 of half width; top-1 in % on 5,000 test pictures, by share of weights that stays.",
    ),
    "fashion channels": (
        "Channels of the same ResNet",
        "Top-1 in %, by share of multiply-accumulates that stays. The batch norm behind a filter undoes its size, and "
        "channels chosen by size alone are hardly better than those chosen by chance; mending the next layer counts.",
    ),
    "mobilenet weights": (
        "Single weights of MobileNetV2",
        "ImageNet weights; agreement in % of its first guess with the dense network's on held-out photos. "
        "The last layer is cut like all others.",
    ),
    "mobilenet channels": (
        "Channels of MobileNetV2",
        "Agreement in %, by share of multiply-accumulates that stays. Least squares see 64 of the 256 crops.",
    ),
    "sentences": (
        "Weights of a sentence encoder",
        "all-MiniLM-L6-v2; 100 times the rank correlation of the similarities of all pairs of 400 sentences with those "
        "of the dense encoder. One half of every weight stays, as it comes (0.5) or two of every four (2:4).",
    ),
}


def page(records: Sequence[Mapping[str, Any]]) -> str:
    """The whole page as Markdown."""
    parts = [_HEAD]
    for task, (title, text) in TASKS.items():
        mine = [r for r in records if r["task"] == task]
        if mine:
            parts.append(f"## {title}\n\n{text} {_dense(mine)}\n\n{table(mine)}\n\n{margins(mine)}")
    return "\n\n".join(parts) + "\n"


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """One row for every method, in the order of their mean over all budgets."""
    cut = [_labelled(r) for r in records if r["method"] != "dense"]
    keeps = sorted({r["keep"] for r in cut}, reverse=True)
    rows = {name: _row(name, [r for r in cut if r["method"] == name], keeps) for name in _by_quality(cut)}
    head = ["method", *keeps, "seconds"]
    lines = [head, ["---", *["---:"] * (len(keeps) + 1)], *rows.values()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def margins(records: Sequence[Mapping[str, Any]]) -> str:
    """One row for every pair of methods that both have records."""
    cut = [_labelled(r) for r in records if r["method"] != "dense"]
    keeps = sorted({r["keep"] for r in cut}, reverse=True)
    found = {(r["method"], r["keep"], r["seed"]): r["quality"] for r in cut}
    present = {r["method"] for r in cut}
    lines = [["difference", *keeps], ["---", *["---:"] * len(keeps)]]
    for better, worse in (pair for pair in PAIRS if present.issuperset(pair)):
        cells = []
        for keep in keeps:
            seeds = sorted(s for name, k, s in found if (name, k) == (better, keep) and (worse, keep, s) in found)
            cells.append(_margin([found[better, keep, s] - found[worse, keep, s] for s in seeds]))
        lines.append([f"{better} − {worse}", *cells])  # noqa: RUF001  a minus sign, read by people
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _margin(values: Sequence[float]) -> str:
    shown = _spread(values)
    return f"**{shown}**" if len(values) > 1 and mean(values) > stdev(values) else shown


def _labelled(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record with its column in words: the share that stays, or the pattern that is part of the method's name."""
    name = record["method"].removesuffix(" 2:4")
    return {**record, "method": name, "keep": f"{record['keep']:g}" if name == record["method"] else "2:4"}


def _row(name: str, mine: Sequence[Mapping[str, Any]], keeps: Sequence[str]) -> list[str]:
    cells = [_spread([r["quality"] for r in mine if r["keep"] == keep]) for keep in keeps]
    seconds = sorted(r["seconds"] for r in mine)[len(mine) // 2]
    return [name, *cells, f"{seconds:.1f}"]


def _by_quality(records: Iterable[Mapping[str, Any]]) -> list[str]:
    found: dict[str, list[float]] = {}
    for record in records:
        found.setdefault(record["method"], []).append(record["quality"])
    return sorted(found, key=lambda name: mean(found[name]))


def _dense(records: Sequence[Mapping[str, Any]]) -> str:
    found = [r["quality"] for r in records if r["method"] == "dense"]
    return f"Dense: {_spread(found)}; {len(found)} {'seed' if len(found) == 1 else 'seeds'}." if found else ""


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "—"
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"
