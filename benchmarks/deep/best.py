"""The smallest files: pruned by the own recipe, then few values that are trained with the weights behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import secateur
from benchmarks.deep.units import best_arranged, in_full, silenced
from benchmarks.mnist.data import Moved, splits
from benchmarks.mnist.run import BATCH, OUT, Progress, network, pruned
from benchmarks.mnist.teaching import Taught, taught
from secateur.bench.tasks.images import Batches
from secateur.core.recipe import FineTune
from secateur.measure import accuracy, nonzeros, parameters
from secateur.quantize import dequantize_, quantize
from secateur.quantizers import SymmetricLevels
from secateur.training import train_


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How few bits the weights get that are left of a network.

    Attributes:
        magnitudes: of levels for each weight.
        bias_magnitudes: the same for each bias.
        values: training of levels and of weights behind them.
    """

    magnitudes: int = 4
    bias_magnitudes: int = 2
    values: FineTune


def _adam(epochs: float, lr: float) -> FineTune:
    return FineTune(epochs=epochs, lr=lr, optimizer="adam", weight_decay=0.0)


PLANS: Mapping[str, Plan] = {
    "lenet_300_100": Plan(magnitudes=8, values=_adam(12, 1e-3)),
    "lenet5": Plan(magnitudes=4, values=_adam(20, 3e-3)),
}


def rows(
    net: str, seed: int, *, choosing: bool = False, plan: Plan | None = None, progress: Progress | None = None
) -> Iterator[dict[str, Any]]:
    """The network of the row `own` of `make bench-mnist`, and the file."""
    plan = plan or PLANS[net]
    train, test = splits(choosing=choosing)
    exam = Batches(test, 1000, seed=None)
    sparse, whole = pruned("own", net, seed, choosing=choosing, progress=progress)
    left, count = nonzeros(sparse), parameters(whole)
    yield {"row": "pruned", "error": _error(sparse, exam), "factor": count / left, "left": left}
    lesson: Any = Taught(Moved(train, BATCH, seed=seed + 1000), whole)
    student = quantized(silenced(sparse), plan)
    train_(student, lesson, plan.values, loss=taught, progress=progress, what="values")
    small = dequantize_(student)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.copy_(parameter.bfloat16().float())
    state, order = best_arranged(silenced(small))
    OUT.mkdir(parents=True, exist_ok=True)
    file = secateur.pack(
        in_full(state, whole.state_dict()), OUT / f"best-{net}-{seed}{'-choosing' if choosing else ''}.sct"
    )
    decoded = network(net, seed)
    decoded.load_state_dict(secateur.unpack(file.path, entries=2**24))
    yield {
        "row": ".sct",
        "error": _error(decoded, exam),
        "factor": 4 * count / file.bytes,
        "bytes": file.bytes,
        "ideal": sum(t.ideal for t in file.tensors),
        "header": file.header,
        "left": sum(t.nonzeros for t in file.tensors),
        "order": order,
        "dense error": _error(whole, exam),
    }


def quantized(model: nn.Module, plan: Plan) -> nn.Module:
    """Every tensor with a few magnitudes of its own, levels and weights to be trained."""
    student = quantize(model, SymmetricLevels(magnitudes=plan.magnitudes), only=["*.weight"], train="both")
    return quantize(student, SymmetricLevels(magnitudes=plan.bias_magnitudes), only=["*.bias"], train="both")


def _error(model: nn.Module, exam: Batches) -> float:
    return 100 * (1 - accuracy(model, exam)["top1"])
