"""The page: one table for each step, means over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "int8.md"
RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}

_HEAD = """\
# MobileNetV2 in few bits

Written by `make bench-int8`. ImageNet weights; nothing is trained. *Agreement* is how often the first guess is the
dense network's, in % of {photos} held-out photos, ± its binomial standard error; it needs no labels and is not ImageNet
top-1. *Logit error* is the distance of all logits from the dense network's, relative to how much those differ from
photo to photo. Ranges come from {crops} random crops of other photos; with several
seeds, which draw them, figures are means."""

_RUNTIMES = """\
## In a runtime

Weights by output channel, activations by tensor; the whole network in integers. CPU time of one photo on one thread,
median in milliseconds; float32 and int8 in turn, in the same runtime, one runtime for each process."""

_SIMULATED = """\
## Simulated integers

Bits of weights / of inputs of layers, as `simulate` has them: sums and what is added stay in floating point. Weights
have a scale for each output channel unless it says otherwise. Ranges of activations are the full ones, unless named."""

_WEIGHTS = """\
## Weights alone

All weights of two dims or more, activations in single precision. *Bits* are those of codes of fixed width and of the
levels or scales, for each weight."""


def page(records: Sequence[Mapping[str, Any]], photos: int, crops: int) -> str:
    """The whole page as Markdown."""
    steps = {step: [r for r in records if r["step"] == step] for step in dict.fromkeys(r["step"] for r in records)}
    parts = [_HEAD.format(photos=photos, crops=crops)]
    found = {name: [*steps[name], *steps.get(f"{name} timing", [])] for name in RUNTIMES if name in steps}
    if found:
        parts.append(f"{_RUNTIMES}\n\n{_runtimes(found)}")
    tried = [*steps.get("simulated", []), *steps.get("rounded", [])]
    if tried:
        parts.append(f"{_SIMULATED}\n\n{_table(tried, ['seconds'])}\n\n{_rounding(tried)}".rstrip())
    if "weights" in steps:
        parts.append(f"{_WEIGHTS}\n\n{_table(steps['weights'], ['bits'])}")
    return "\n\n".join(parts) + "\n"


def _table(records: Sequence[Mapping[str, Any]], more: Sequence[str]) -> str:
    rows = []
    for name in dict.fromkeys(r["name"] for r in records):
        mine = [r for r in records if r["name"] == name]
        rows.append([name, *_quality(mine), *(f"{mean(r[column] for r in mine):.1f}" for column in more)])
    return _markdown(
        [
            "",
            "agreement",
            "logit error",
            *more,
        ],
        rows,
    )


def _runtimes(steps: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    rows = []
    for step, records in steps.items():
        for name in dict.fromkeys(r["name"] for r in records):
            mine = [r for r in records if r["name"] == name and "agreement" in r]
            timed = [r["latency"] for r in records if r["name"] == name and "latency" in r]
            rows.append([RUNTIMES[step], name, *_quality(mine), *_times(timed), _sizes(mine[0])])
    head = ["runtime", "range", "agreement", "logit error", "float32 ms", "int8 ms", "times faster", "MB"]
    return _markdown(head, rows)


def _times(timed: Sequence[Mapping[str, Any]]) -> list[str]:
    if not timed:
        return ["", "", ""]
    slow, fast = ([t[name]["p50"] for t in timed] for name in ("float32", "int8"))
    faster = [a / b for a, b in zip(slow, fast, strict=True)]
    return [
        f"{median(slow):.2f}",
        f"{median(fast):.2f}",
        f"{median(faster):.1f} ({min(faster):.1f} to {max(faster):.1f})",
    ]


def _sizes(record: Mapping[str, Any]) -> str:
    return f"{record['float_bytes'] / 1e6:.1f} → {record['bytes'] / 1e6:.1f}"


def _quality(mine: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"{100 * mean(r['agreement'] for r in mine):.1f} ± {100 * mean(r['stderr'] for r in mine):.1f}",
        f"{mean(r['logit_error'] for r in mine):.3f}",
    ]


def _rounding(records: Sequence[Mapping[str, Any]]) -> str:
    left = [r["error_left"] for r in records if "error_left" in r]
    return f"Learned rounding leaves {100 * left[0]:.0f} % of a layer's squared error, in the mean." if left else ""


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
