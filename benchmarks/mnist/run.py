"""One run: a dense network, a recipe, and what is left; every record is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

import secateur
from benchmarks.mnist.data import Moved, splits
from benchmarks.mnist.methods import ENTRIES
from secateur.apply.masking import unmask_
from secateur.bench.tasks.images import Batches, Split
from secateur.bench.zoo import ZOO
from secateur.core.copying import copied
from secateur.core.recipe import FineTune
from secateur.measure import accuracy
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
    path = OUT / f"{name}-{seed}{'-choosing' if choosing else ''}.safetensors"
    model = network(name, seed)
    if path.exists():
        model.load_state_dict(load_file(path))
        return model
    how = FineTune(epochs=DENSE[name], lr=1e-3, optimizer="adam", weight_decay=0.0)
    train_(model, Moved(train, BATCH, seed=seed), how, progress=progress, what=f"dense {name}")
    _save(model, path)
    return model


def _save(model: nn.Module, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)


class Taught:
    """Batches whose target holds what a teacher says, too."""

    def __init__(self, batches: Batches, teacher: nn.Module) -> None:
        self.batches, self.teacher = batches, teacher.eval()

    def __len__(self) -> int:
        return len(self.batches)

    def state_dict(self) -> dict[str, int]:
        """Where the walk stands."""
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self.batches.load_state_dict(state)

    def __iter__(self) -> Iterator[tuple[Tensor, Any]]:
        for images, labels in self.batches:
            with torch.no_grad():  # not around the yield, or it would hold for the training as well
                told = self.teacher(images)
            yield images, (labels, told)


def taught(output: Tensor, target: Any) -> Tensor:
    """Cross-entropy, and the divergence from what the teacher says, at temperature 2."""
    if isinstance(target, Tensor):
        return F.cross_entropy(output, target)
    labels, wanted = target
    soft = F.kl_div(F.log_softmax(output / 2, 1), F.log_softmax(wanted / 2, 1), log_target=True, reduction="batchmean")
    return 0.5 * F.cross_entropy(output, labels) + 0.5 * 4 * soft


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


def run(name: str, net: str, seed: int, *, choosing: bool = False, progress: Progress | None = None) -> dict[str, Any]:
    """One row for one seed: train, prune, judge at the last epoch."""
    entry = ENTRIES[name]
    train, test = splits(choosing=choosing)
    exam = Batches(test, 1000, seed=None)
    zoo = net.removesuffix(CHANNELS)
    before = dense(zoo, seed, train, choosing=choosing, progress=progress)
    a_step = _seconds_of_a_step(before, Moved(train, BATCH, seed=seed))
    began = time.process_time()
    data: Any = Moved(train, BATCH, seed=seed, share=entry.moved) if entry.moved else Batches(train, BATCH, seed=seed)
    data = Taught(data, before) if entry.taught else data
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}-{net}-{seed}{'-choosing' if choosing else ''}.pt"
    made = secateur.compress(
        before,
        entry.recipe[net],
        example_inputs=torch.zeros(1, 1, 28, 28),
        data=data,
        seed=seed,
        run=Run(loss=taught, runtimes=(), checkpoint=path, resume=not choosing, progress=progress),
    )
    seconds = time.process_time() - began
    plain = unmask_(made.masked)
    left = sum(int(p.count_nonzero()) for p in plain.parameters())
    whole = sum(p.numel() for p in plain.parameters())
    path.unlink(missing_ok=True)
    found = {
        "method": name,
        "net": net,
        "seed": seed,
        "dense error": 100 * (1 - accuracy(before, exam)["top1"]),
        "error": 100 * (1 - accuracy(plain, exam)["top1"]),
        "left": left,
        "factor": whole / left,
        "macs": made.report.after.macs / made.report.before.macs,
        "seconds": seconds,
        "cost": seconds / (a_step * DENSE[zoo] * (len(train) // BATCH)),
    }
    if not choosing:
        _save(plain, OUT / f"{name}-{net}-{seed}.safetensors")
    return found
