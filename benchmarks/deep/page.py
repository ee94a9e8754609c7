"""docs/deep.md, from the records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from textwrap import fill
from typing import Any

from benchmarks.deep.best import PLANS
from benchmarks.mnist.methods import ENTRIES

PAGE = Path(__file__).parents[2] / "docs" / "deep.md"
TITLES = {"lenet_300_100": "LeNet-300-100, 266,610 parameters", "lenet5": "LeNet-5 (Caffe), 431,080 parameters"}
#: Deep Compression's own figures: factor, error in percent of the last row.
PAPER = {
    "lenet_300_100": {"P": "12 x", "P+Q": "32 x", "P+Q+H": "40 x at 1.58 %"},
    "lenet5": {"P": "12 x", "P+Q": "33 x", "P+Q+H": "39 x at 0.74 %"},
}
PUBLISHED = {
    "lenet_300_100": "The smallest published file that we know of: 124 x at 1.9 %.",
    "lenet5": "The smallest published files that we know of: 606 x at 1.0 %, and 1000 x at 0.83 %.",
}
#: What was chosen how, where it was not on held-out images alone.
CHOSEN = {
    "lenet_300_100": (
        "On held-out images 1, 2 and 4 magnitudes were tried with 3,950 survivors: 3.02, 1.70 and 1.30 % at 408, 353 "
        "and 309 x, one seed. Fewer survivors with more magnitudes were taken afterwards without such a trial, when "
        "test errors of the pruned networks were known from [mnist.md](mnist.md)."
    ),
    "lenet5": (
        "On held-out images ten epochs of training values at rates of 0.001 and 0.003 gave 0.96 and 0.90 % at 1,021 "
        "and 1,025 x, from a pruned network at 0.78 %, one seed; the higher rate was taken, with twice the epochs. "
        "What was tried for the pruned network stands in [mnist.md](mnist.md). Four magnitudes were taken over from "
        "an earlier run whose test error was known, 0.85 % at 1,012 x for seed 0 from 10, 30 and 120 units."
    ),
}
HEAD = """# Deep Compression, and how small a file gets

Written by `make bench-deep`. Errors in `.sct` rows are those of networks that were read back from bytes on disk, on the
10,000 test images after the last epoch; training saw all 60,000 others, and settings were chosen on 5,000 of those that
were held out for the purpose, where it does not say otherwise. Sizes in the paper's format (P+Q, P+Q+H) are computed
for the network of the `.sct` row beside them, and no such file is written. A factor is the float32 size of all
parameters over all bytes: codes, positions, codebooks, biases, and for `.sct` names, shapes and checksums, too. Means
over seeds with the sample standard deviation; one test error has a binomial standard error of about 0.12 points at
1.4 %, 0.09 at 0.8 %.
"""
HAN = """
### Deep Compression's steps

Pruning by the paper's recipe to a twelfth of the weights (P), k-means with the paper's bits ({bits}) whose centroids
are trained for two epochs (Q), steps between survivors in 5 bits with fillers, and Huffman codes (H), tables counted.
Biases stay in float32 and are counted. *Best widths* chooses the bits of steps for each layer. `.sct` is our coder's
file of the same network. The dense network learned from moved images too, so it starts from a lower error than the
paper's. Paper's figures in the last column.
"""
BITS = {"lenet_300_100": "6", "lenet5": "8 in convolutions, 5 elsewhere"}
BEST = """
{first} by the project's own recipe, biases too: the row `own` of [mnist.md](mnist.md). Units that emptied are folded
away; {magnitudes} magnitudes for each weight, 2 for each bias, with either sign and no level at zero, trained together
with the weights behind them on the fixed mask for {epochs} epochs, with the dense network as teacher; levels
rounded to bfloat16; hidden units in the order that packs best. Files hold the original shapes. {published} {chosen}
"""
BYTES = """
The last file takes {bytes:,.0f} bytes in the mean; an ideal coder would spend {ideal:,.0f} under the model of the
adaptive coder. The rest, {rest:,.0f}, is codebooks, names, shapes, checksums and the coder's own loss.
"""
MOBILENET = """
## MobileNetV2, ImageNet weights

Batch norms folded, weights on even grids with a step for each channel, as coarse as a layer bears, entropy coded;
biases in half precision. *Agreement* is how often the first guess is the dense network's, in % of {photos} photos that
nothing else saw, ± its binomial standard error; it needs no labels and is not ImageNet top-1. *Taught* learns for
{rounds} rounds of {batch} crops of other photos from the dense network's logits, no labels. Factors are over 14,019,488
bytes of float32 parameters.
"""
INT8 = """
Beside it, from [int8.md](int8.md), where activations are integers as well and nothing is taught: {told}.
"""
_INT8 = Path(__file__).parents[1] / "int8" / "records.jsonl"


def page(records: Sequence[dict[str, Any]]) -> str:
    """The whole page."""
    parts = [HEAD]
    for net, title in TITLES.items():
        parts.append(f"\n## {title}")
        mine = [r for r in records if r.get("net") == net]
        han = [r for r in mine if r["part"] == "han"]
        if han:
            parts += [HAN.format(bits=BITS[net]), _lenets(han, PAPER[net])]
        best = [r for r in mine if r["part"] == "best"]
        if best:
            files = [r for r in best if r["row"] == best[-1]["row"]]
            size, ideal = mean(r["bytes"] for r in files), mean(r["ideal"] for r in files)
            parts += [_how(net), _lenets(best, {})]
            parts.append(BYTES.format(bytes=size, ideal=ideal, rest=size - ideal))
    photos = [r for r in records if r["part"] == "mobilenet"]
    if photos:
        head = MOBILENET.format(photos=photos[0]["photos"], rounds=photos[0]["rounds"], batch=photos[0]["batch"])
        parts += [head, _photos(photos), "\n" + fill(INT8.format(told=_runtimes()).strip(), 120) + "\n"]
    return "\n".join(parts)


def _runtimes() -> str:
    """What the int8 runtimes came to."""
    found = [json.loads(line) for line in _INT8.read_text().splitlines()]
    told = []
    for step, name in {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}.items():
        rows = [r for r in found if r["step"] == step and r["name"] == "minmax"]
        agreement, error = (100 * mean(r[column] for r in rows) for column in ("agreement", "stderr"))
        told.append(f"{name} agrees on {agreement:.1f} ± {error:.1f} % at {rows[0]['bytes'] / 1e6:.1f} MB")
    return ", ".join(told)


def _how(net: str) -> str:
    plan, narrow = PLANS[net], ENTRIES["own"].narrow
    first = "Pruned"
    if net in narrow:
        units = ", ".join(f"{count} in {name}" for name, count in narrow[net].units.items())
        first = f"Cut to fewer hidden units ({units}), trained, and pruned"
    told = BEST.format(
        first=first,
        magnitudes=plan.magnitudes,
        epochs=f"{plan.values.epochs:g}",
        published=PUBLISHED[net],
        chosen=CHOSEN[net],
    )
    return f"\n### The smallest file\n\n{fill(told.strip(), 120, break_on_hyphens=False)}\n"


def _lenets(records: Sequence[dict[str, Any]], paper: dict[str, str]) -> str:
    lines = [
        "| | seeds | error % | not zero | bytes | factor | paper |"
        if paper
        else "| | seeds | error % | not zero | bytes | factor |",
        f"|---|---:|---:|---:|---:|---:|{'---:|' if paper else ''}",
    ]
    for name in dict.fromkeys(r["row"] for r in records):
        rows = [r for r in records if r["row"] == name]
        cells = [
            name,
            str(len(rows)),
            _mean([r["error"] for r in rows], 2),
            f"{mean(r['left'] for r in rows):,.0f}" if "left" in rows[0] else "",
            f"{mean(r['bytes'] for r in rows):,.0f}" if "bytes" in rows[0] else "",
            f"{_mean([r['factor'] for r in rows], 1)} x",
            *([paper.get(name, "")] if paper else []),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _photos(records: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| | seeds | bytes | factor | bits per weight | agreement % | logit error |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in dict.fromkeys(r["row"] for r in records):
        rows = [r for r in records if r["row"] == name]
        cells = [
            name,
            str(len(rows)),
            f"{mean(r['bytes'] for r in rows):,.0f}",
            f"{mean(r['factor'] for r in rows):.2f} x",
            f"{mean(r['bits'] for r in rows):.2f}",
            f"{mean(r['agreement'] for r in rows):.1f} ± {mean(r['stderr'] for r in rows):.1f}",
            f"{mean(r['logit error'] for r in rows):.3f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(values: Sequence[float], digits: int) -> str:
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{spread}"
