"""`python -m benchmarks.quality`: cut without training, judge, write the page. What is done already is kept."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import nn

from benchmarks.quality import methods
from benchmarks.quality.cutting import Found, Method, cut_all
from benchmarks.quality.dense import HELD_OUT, OUT, pictures, resnet
from benchmarks.quality.page import PAGE, page
from secateur.bench.tasks.images import Batches
from secateur.core.rng import generator
from secateur.measure import accuracy

#: Of the test pictures that are looked at.
EXAM = 5_000
CALIBRATION = 1_024
#: Kept in the repository, so that the page can be written, and the rest run, on any machine.
RECORDS = Path(__file__).with_name("records.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-quality ARGS=…", description=__doc__)
    parser.add_argument("--steps", nargs="+", default=STEPS, choices=STEPS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for step in [step for step in wanted.steps if step != "page"]:
        for seed in wanted.seeds:
            STEPS[step](seed)
    if "page" in wanted.steps:
        PAGE.write_text(page(records()))


def records() -> list[dict[str, Any]]:
    """Everything that was found."""
    return [json.loads(line) for line in RECORDS.read_text().splitlines()] if RECORDS.exists() else []


def run(
    task: str,
    seed: int,
    dense: nn.Module,
    example: Any,
    data: Sequence[Any],
    compared: Sequence[Method],
    keeps: Sequence[float],
    quality: Callable[[nn.Module], float],
) -> None:
    """Cut by every method at every budget that has no record yet, and keep a record of each finding."""
    done = {(r["method"], r["keep"]) for r in records() if (r["task"], r["seed"]) == (task, seed)}
    missing: dict[tuple[float, ...], list[Method]] = {}
    for method in compared:
        missing.setdefault(tuple(keep for keep in keeps if (method.name, keep) not in done), []).append(method)
    with RECORDS.open("a") as file:
        if ("dense", 1.0) not in done:
            _note(file, task, seed, Found("dense", 1.0, quality(dense), 0.0))
        for left, late in missing.items():
            for found in cut_all(dense, example, data, late, left, quality) if left else ():
                _note(file, task, seed, found)


def _note(file: TextIO, task: str, seed: int, found: Found) -> None:
    print(json.dumps({"task": task, "seed": seed, **asdict(found)}), file=file, flush=True)
    print(f"{task} {seed} {found.method} {found.keep:g}: {found.quality:.4f} ({found.seconds:.1f} s)", flush=True)


def fashion(task: str, seed: int, compared: Sequence[Method], keeps: Sequence[float]) -> None:
    """A ResNet on Fashion-MNIST, one for each seed; judged by top-1 on test pictures."""
    dense = resnet(seed, lambda what, done, total: None if done % 100 else print(what, done, total, flush=True))
    train, test = pictures(train=True), pictures(train=False).part(0, EXAM)
    picked = torch.randperm(len(train) - HELD_OUT, generator=generator(seed, "calibration"))[:CALIBRATION]
    data = [(train.images[p], train.labels[p]) for p in picked.split(128)]

    def quality(model: nn.Module) -> float:
        return accuracy(model, Batches(test, 500, seed=None), k=(1,))["top1"]

    run(task, seed, dense, test.images[:1], data, compared, keeps, quality)


def fashion_weights(seed: int) -> None:
    """Single weights of the ResNet."""
    fashion("fashion weights", seed, methods.weights(seed), methods.WEIGHTS)


def fashion_channels(seed: int) -> None:
    """Channels of the ResNet."""
    fashion("fashion channels", seed, methods.channels(seed), methods.CHANNELS)


def mobilenet(task: str, seed: int, compared: Sequence[Method], keeps: Sequence[float]) -> None:
    """MobileNetV2 with ImageNet weights; judged by how often its first guess is that of the dense network."""
    from benchmarks.quality import photos  # noqa: PLC0415  it needs what the example has fetched

    task_ = photos.task(seed)
    run(task, seed, task_.dense, task_.example, task_.data, compared, keeps, task_.quality)


def mobilenet_weights(seed: int) -> None:
    """Single weights of MobileNetV2."""
    mobilenet("mobilenet weights", seed, methods.few(methods.weights(seed)), methods.THIN_WEIGHTS)


def mobilenet_channels(seed: int) -> None:
    """Channels of MobileNetV2; least squares walk through it once for every layer, so on a quarter of the crops."""
    mobilenet("mobilenet channels", seed, methods.few(methods.channels(seed, fitted=2)), methods.THIN_CHANNELS)


def sentences(seed: int) -> None:
    """Weights of a sentence encoder; judged by the rank correlation of similarities."""
    from benchmarks.quality import minilm  # noqa: PLC0415  it needs transformers

    task = minilm.task(seed)
    plain = [m for m in methods.sentences(seed) if m.of == "units"]
    pattern = [m for m in methods.sentences(seed) if m.of == "weights"]
    for compared, keeps in ((plain, (0.5,)), (pattern, (1.0,))):
        run("sentences", seed, task.dense, task.example, task.data, compared, keeps, task.quality)


STEPS: dict[str, Callable[[int], None]] = {
    "fashion-weights": fashion_weights,
    "fashion-channels": fashion_channels,
    "mobilenet-weights": mobilenet_weights,
    "mobilenet-channels": mobilenet_channels,
    "sentences": sentences,
    "page": lambda _: None,
}

if __name__ == "__main__":
    main()
