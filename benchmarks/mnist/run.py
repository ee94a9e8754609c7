"""One run: a dense network, a recipe, and what is left; every record is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

import secateur
from benchmarks.mnist.data import Moved, splits
from benchmarks.mnist.methods import ENTRIES
from benchmarks.mnist.narrow import PICTURE, narrowed
from benchmarks.mnist.teaching import Taught, taught
from secateur.apply.masking import unmask_
from secateur.bench.tasks.images import Batches, Split
from secateur.bench.zoo import ZOO
from secateur.core.budget import Budget
from secateur.core.copying import copied
from secateur.core.recipe import FineTune
from secateur.measure import accuracy, macs, nonzeros, parameters
from secateur.run import Run
from secateur.training import train_

BATCH = 128
OUT = Path("out/mnist")
RECORDS = Path(__file__).with_name("records.jsonl")
#: Epochs of dense training.
DENSE = {"lenet_300_100": 20, "lenet5": 6}
#: What follows the name of a network in the name of the table in which it loses channels.
CHANNELS = "_channels"
Progress = Callable[[str, int, int], None]


def network(name: str, seed: int) -> nn.Module:
    """A fresh network; convolutions run twice as fast with channels last."""
    torch.manual_seed(seed)
    made: nn.Module = ZOO[name].make()
    return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it


def dense(name: str, seed: int, train: Split, *, choosing: bool, progress: Progress | None = None) -> nn.Module:
    """The network before compression, trained once for each seed and kept in `out/mnist`."""
    path = _path(name, seed, choosing=choosing)
    model = network(name, seed)
    if path.exists():
        model.load_state_dict(load_file(path))
        return model
    how = FineTune(epochs=DENSE[name], lr=1e-3, optimizer="adam", weight_decay=0.0)
    train_(model, Moved(train, BATCH, seed=seed), how, progress=progress, what=f"dense {name}")
    _save(model, path)
    return model


def _path(what: str, seed: int, *, choosing: bool, ending: str = "safetensors") -> Path:
    return OUT / f"{what}-{seed}{'-choosing' if choosing else ''}.{ending}"


def _save(model: nn.Module, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)


def records() -> list[dict[str, Any]]:
    """Everything that was found."""
    return [json.loads(line) for line in RECORDS.read_text().splitlines()] if RECORDS.exists() else []


def _seconds_of_a_step(model: nn.Module, batches: Moved, steps: int = 40) -> float:
    """What a step of dense training costs on this machine now."""
    began = time.process_time()
    some = list(islice(batches, steps))
    how = FineTune(epochs=1, lr=1e-3, optimizer="adam", weight_decay=0.0)
    train_(copied(model), some, how)
    return (time.process_time() - began) / len(some)


def pruned(
    name: str, net: str, seed: int, *, choosing: bool = False, progress: Progress | None = None
) -> tuple[nn.Module, nn.Module]:
    """The network of a row, and the dense one; made now if they are not in `out/mnist`."""
    path = _path(f"{name}-{net}", seed, choosing=choosing)
    if not path.exists():
        run(name, net, seed, choosing=choosing, progress=progress)
    train, _ = splits(choosing=choosing)
    whole = dense(net, seed, train, choosing=choosing)
    narrow = ENTRIES[name].narrow
    model = narrowed(whole, narrow[net].units) if net in narrow else copied(whole)
    model.load_state_dict(load_file(path))
    return model, whole


def _in_terms_of(start: nn.Module, whole: nn.Module, budget: Budget | None) -> Budget:
    """A budget in parameters of the whole network as one of the network that a recipe starts from."""
    assert budget is not None
    assert budget.of == "params"
    return Budget(budget.keep * parameters(whole) / parameters(start), "params")


def run(name: str, net: str, seed: int, *, choosing: bool = False, progress: Progress | None = None) -> dict[str, Any]:
    """One row for one seed: train, prune, judge at the last epoch; what was made is kept in `out/mnist`."""
    entry = ENTRIES[name]
    train, test = splits(choosing=choosing)
    exam = Batches(test, 1000, seed=None)
    zoo = net.removesuffix(CHANNELS)
    before = dense(zoo, seed, train, choosing=choosing, progress=progress)
    a_step = _seconds_of_a_step(before, Moved(train, BATCH, seed=seed))
    began = time.process_time()
    recipe, start = entry.recipe[net], before
    if net in entry.narrow:
        start = narrowed(before, entry.narrow[net].units)
        lesson: Any = Taught(Moved(train, BATCH, seed=seed), before)
        train_(start, lesson, entry.narrow[net].train, loss=taught, progress=progress, what="narrow")
        recipe = replace(recipe, budget=_in_terms_of(start, before, recipe.budget))
    data: Any = Moved(train, BATCH, seed=seed, share=entry.moved) if entry.moved else Batches(train, BATCH, seed=seed)
    data = Taught(data, before) if entry.taught else data
    OUT.mkdir(parents=True, exist_ok=True)
    path = _path(f"{name}-{net}", seed, choosing=choosing, ending="pt")
    made = secateur.compress(
        start,
        recipe,
        example_inputs=PICTURE,
        data=data,
        seed=seed,
        run=Run(loss=taught, runtimes=(), checkpoint=path, resume=not choosing, progress=progress),
    )
    seconds = time.process_time() - began
    plain = unmask_(made.masked)
    path.unlink(missing_ok=True)
    _save(plain, _path(f"{name}-{net}", seed, choosing=choosing))
    return {
        "method": name,
        "net": net,
        "seed": seed,
        "dense error": 100 * (1 - accuracy(before, exam)["top1"]),
        "error": 100 * (1 - accuracy(plain, exam)["top1"]),
        "left": nonzeros(plain),
        "factor": parameters(before) / nonzeros(plain),
        "macs": made.report.after.macs / macs(before, PICTURE),
        "seconds": seconds,
        "cost": seconds / (a_step * DENSE[zoo] * (len(train) // BATCH)),
    }
