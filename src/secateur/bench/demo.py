"""The demo: LeNet-5 on MNIST, from training to a shipped quarter-size network, with two controls.

Every number that it shows is measured while it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from secateur.allocation import Uniform
from secateur.bench.tasks.images import Batches
from secateur.bench.tasks.mnist import mnist
from secateur.bench.zoo.lenet import lenet5
from secateur.core.budget import Budget
from secateur.core.contracts import Progress, Quality
from secateur.core.copying import copied
from secateur.core.errors import VerificationError
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.core.report import CompressionReport
from secateur.criteria import Random, Taylor
from secateur.files import export, load, save, save_plan
from secateur.granularity import Channel
from secateur.measure import accuracy, measure
from secateur.pipeline import Compressed, compress
from secateur.report import write_html, write_json
from secateur.run import Run
from secateur.schedules import OneShot
from secateur.training import train_

DENSE = FineTune(epochs=5, lr=0.05)
TUNE = FineTune(epochs=4, lr=0.02)
BUDGET = Budget("0.25 macs")
OURS = Recipe(
    criterion=Taylor(),
    granularity=Channel(),
    allocation=Uniform(),
    schedule=OneShot(),
    budget=BUDGET,
    finetune=TUNE,
)
SCRATCH = Paper("liu2019")
#: The control differs in nothing but the criterion: the same widths, the same training.
LOT = replace(OURS, criterion=Random())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the demo found.

    Attributes:
        report: dense against shrunk, with the controls.
        files: what was written, by name.
        onnx_difference: largest relative difference between ONNX Runtime and PyTorch.
    """

    report: CompressionReport
    files: Mapping[str, Path]
    onnx_difference: float


def demo(out: Path, *, seed: int = 0, progress: Progress | None = None) -> Outcome:
    """Run the whole line and write everything into the folder `out`.

    Args:
        out: created if it does not exist.
        seed: for initial weights, batch order and the random control.
        progress: called as `(what, done, total)`.

    Returns:
        The outcome.

    Raises:
        SecateurError: a check failed; nothing unproven is written.
    """
    out.mkdir(parents=True, exist_ok=True)
    training, test = mnist(train=True), mnist(train=False)
    exam = Batches(test, 1000, seed=None)

    def quality(model: nn.Module) -> Mapping[str, float]:
        return accuracy(model, exam, k=(1,))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        dense = lenet5()
    dense.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub leaves it out
    example = test.images[:1]
    train_(dense, Batches(training, seed=seed), DENSE, progress=progress, what="train dense")
    run = Run(runtimes=("torch", "onnxruntime"), progress=progress)
    ours = compress(
        dense, OURS, example_inputs=example, data=Batches(training, seed=seed + 1), quality=quality, seed=seed, run=run
    )
    files, onnx_difference = _ship(ours, example, out)
    controls = {
        "random channels": _by_lot(dense, example, Batches(training, seed=seed + 1), quality, seed, progress),
        "same shape, from scratch": _from_scratch(ours.model, Batches(training, seed=seed + 2), seed, progress),
    }
    report = replace(
        ours.report,
        papers=(*ours.report.papers, SCRATCH.cite()),
        controls={name: measure(model, example, quality=quality, runtimes=()) for name, model in controls.items()},
    )
    write_json(report, out / "report.json")
    write_html(report, out / "report.html")
    return Outcome(report, files | {"report": out / "report.html"}, onnx_difference)


def _ship(ours: Compressed, example: torch.Tensor, out: Path) -> tuple[dict[str, Path], float]:
    """Save, load into a fresh network, compare bit for bit, export to ONNX and compare answers."""
    files = {"network": out / "lenet5-small.safetensors", "plan": out / "plan.json", "onnx": out / "lenet5-small.onnx"}
    save(ours.model, ours.plan, files["network"])
    save_plan(ours.plan, files["plan"])
    again = load(files["network"], lenet5()).state_dict()
    if not all(torch.equal(tensor, again[name]) for name, tensor in ours.model.state_dict().items()):
        raise VerificationError("the reloaded network differs from the saved one. Please report this.")
    return files, export(ours.model, example, files["onnx"])


def _by_lot(
    dense: nn.Module, example: torch.Tensor, data: Batches, quality: Quality, seed: int, progress: Progress | None
) -> nn.Module:
    """The same budget, the same fine-tuning, channels chosen by lot."""
    run = Run(runtimes=(), progress=_renamed(progress, "control: random"))
    return compress(dense, LOT, example_inputs=example, data=data, quality=quality, seed=seed, run=run).model


def _from_scratch(small: nn.Module, data: Batches, seed: int, progress: Progress | None) -> nn.Module:
    """The small shape with fresh weights, trained for as many steps as dense training and fine-tuning took together.

    Paper: Liu et al., *Rethinking the Value of Network Pruning*, ICLR 2019. arXiv:1810.05270
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        fresh = _fresh(small)
    how = replace(DENSE, epochs=DENSE.epochs + TUNE.epochs)
    train_(fresh, data, how, progress=progress, what="control: from scratch")
    return fresh


def _fresh(small: nn.Module) -> nn.Module:
    """A copy with newly initialised layers."""
    fresh = copied(small)
    for module in fresh.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.reset_parameters()
    return fresh


def _renamed(progress: Progress | None, name: str) -> Progress | None:
    return None if progress is None else lambda what, done, total: progress(f"{name}, {what}", done, total)
