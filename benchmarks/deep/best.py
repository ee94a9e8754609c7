"""The smallest files: pruned by the own recipe, then few values that are trained with the weights behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import secateur
from benchmarks.deep.units import PICTURE, best_arranged, in_full, silenced
from benchmarks.mnist.data import Moved, splits
from benchmarks.mnist.methods import ENTRIES
from benchmarks.mnist.run import BATCH, OUT, Progress, Taught, dense, network, taught
from benchmarks.mnist.run import run as pruned_by
from secateur.apply.masking import mask, unmask_
from secateur.bench.tasks.images import Batches
from secateur.core.budget import Budget
from secateur.core.copying import copied
from secateur.core.recipe import FineTune
from secateur.measure import accuracy
from secateur.pipeline import Run
from secateur.planning.by_hand import plan_by_hand
from secateur.quantize import dequantize_, quantize
from secateur.quantizers import SymmetricLevels
from secateur.training import train_


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one network is made small.

    Attributes:
        units: hidden units that stay from the start, by layer; none named: all.
        narrow: epochs of training after those were cut.
        left: weights and biases that are not zero in the end; 0 for the network of `make bench-mnist` as it is.
        epochs: of pruning.
        lr: peak rate of that.
        magnitudes: of levels for each weight.
        bias_magnitudes: the same for each bias.
        values: training of levels and of weights behind them.
    """

    units: Mapping[str, int]
    narrow: float = 0
    left: int = 0
    epochs: float = 40
    lr: float = 5e-3
    magnitudes: int = 4
    bias_magnitudes: int = 2
    values: FineTune


def _adam(epochs: float, lr: float) -> FineTune:
    return FineTune(epochs=epochs, lr=lr, optimizer="adam", weight_decay=0.0)


PLANS: Mapping[str, Plan] = {
    "lenet_300_100": Plan(units={}, magnitudes=8, values=_adam(12, 1e-3)),
    "lenet5": Plan(
        units={"conv1": 10, "conv2": 30, "fc1": 120}, narrow=5, left=1_800, epochs=25, lr=3e-3, values=_adam(10, 1e-3)
    ),
}
#: A second point, where there is one.
SMALLER: Mapping[str, Plan] = {"lenet5": replace(PLANS["lenet5"], left=1_550, values=_adam(20, 1e-3))}


def rows(
    net: str, seed: int, *, choosing: bool = False, plan: Plan | None = None, progress: Progress | None = None
) -> Iterator[dict[str, Any]]:
    """The pruned network, and the file."""
    plan = plan or PLANS[net]
    train, test = splits(choosing=choosing)
    exam = Batches(test, 1000, seed=None)
    whole = dense(net, seed, train, choosing=choosing, progress=progress)
    count = sum(p.numel() for p in whole.parameters())
    sparse, teacher = _sparse(net, seed, plan, whole, choosing=choosing, progress=progress)
    left = sum(int(p.count_nonzero()) for p in sparse.parameters())
    yield {"row": "pruned", "error": _error(sparse, exam), "factor": count / left, "left": left}
    lesson: Any = Taught(Moved(train, BATCH, seed=seed + 1000), teacher)
    student = quantized(silenced(sparse), plan)
    train_(student, lesson, plan.values, loss=taught, progress=progress, what="values")
    small = dequantize_(student)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.copy_(parameter.bfloat16().float())
    state, order = best_arranged(silenced(small))
    OUT.mkdir(parents=True, exist_ok=True)
    file = secateur.pack(in_full(state, whole.state_dict()), OUT / f"best-{net}-{seed}.sct")
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


def _sparse(
    net: str, seed: int, plan: Plan, whole: nn.Module, *, choosing: bool, progress: Progress | None
) -> tuple[nn.Module, nn.Module]:
    """The pruned network and its teacher, made once and kept."""
    train, _ = splits(choosing=choosing)
    start = whole if not plan.units else _narrow(net, seed, plan, whole, choosing=choosing, progress=progress)
    own = ENTRIES["own"].recipe[net]
    if not plan.left and not choosing:
        path = OUT / f"own-{net}-{seed}.safetensors"
        if not path.exists():
            pruned_by("own", net, seed, progress=progress)
    else:
        name = f"{net}-{seed}-{plan.left}-{plan.epochs:g}{'-choosing' if choosing else ''}"
        path = OUT / f"sparse-{name}.safetensors"
    model = copied(start)
    if path.exists():
        model.load_state_dict(load_file(path))
        return model, start
    params = sum(p.numel() for p in start.parameters())
    budget = Budget(plan.left / params, "params") if plan.left else own.budget
    made = secateur.compress(
        start,
        replace(own, budget=budget, sparsify=_adam(plan.epochs, plan.lr)),
        example_inputs=PICTURE,
        data=Taught(Moved(train, BATCH, seed=seed), start),
        seed=seed,
        run=Run(loss=taught, runtimes=(), progress=progress),
    )
    model = unmask_(made.masked)
    save_file({n: t.contiguous() for n, t in model.state_dict().items()}, path)
    return model, start


def _narrow(
    net: str, seed: int, plan: Plan, whole: nn.Module, *, choosing: bool, progress: Progress | None
) -> nn.Module:
    """The dense network with fewer hidden units, the strongest, trained again."""
    graph = secateur.trace(whole, PICTURE)
    weights = dict(whole.named_parameters())
    keep = {
        n: weights[f"{n}.weight"].flatten(1).norm(dim=1).topk(k).indices.sort().values for n, k in plan.units.items()
    }
    hand = plan_by_hand(graph, {n: k.tolist() for n, k in keep.items()})
    small: Any = secateur.shrink(mask(whole, hand), hand)
    small.to(memory_format=torch.channels_last)
    path = OUT / f"narrow-{net}-{seed}{'-choosing' if choosing else ''}.safetensors"
    if path.exists():
        small.load_state_dict(load_file(path))
        return small
    train, _ = splits(choosing=choosing)
    lesson: Any = Taught(Moved(train, BATCH, seed=seed), whole)
    train_(small, lesson, _adam(plan.narrow, 2e-3), loss=taught, progress=progress, what="narrow")
    save_file({n: t.contiguous() for n, t in small.state_dict().items()}, path)
    return small


def _error(model: nn.Module, exam: Batches) -> float:
    return 100 * (1 - accuracy(model, exam)["top1"])


def error_of(state: Mapping[str, Tensor], net: str, exam: Batches) -> float:
    """Test error in percent of a state."""
    model = network(net, 0)
    model.load_state_dict(state)
    return _error(model, exam)
