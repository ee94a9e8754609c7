"""One run: train, cut, train on, judge; what it cost is counted in dense trainings timed beside it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import secateur
from benchmarks.quality.dense import HELD_OUT, pictures
from benchmarks.structured.methods import DENSE, ENTRIES, EPOCHS, Choice
from secateur.apply.masking import unmask_
from secateur.bench.tasks.images import Batches, Split
from secateur.bench.zoo.resnet import ResNet
from secateur.core.copying import copied
from secateur.core.recipe import FineTune
from secateur.measure import accuracy
from secateur.run import Run
from secateur.training import train_

BATCH = 128
#: Images that everything is trained on, the first of the training set; its last `HELD_OUT` are there to choose by.
TRAINED_ON = 16_000
OUT = Path("out/structured")
RECORDS = Path(__file__).with_name("records.jsonl")
CHOOSING = Path(__file__).with_name("choosing.jsonl")
#: Steps between two looks at what a dense step costs now, and steps that are timed then.
EVERY, TIMED = 40, 2


def network(seed: int) -> nn.Module:
    """A fresh ResNet with one block a stage and 8, 16, 32 channels; convolutions run faster with channels last."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = ResNet(1, 8, channels=1)
    return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it


def batches(seed: int) -> Batches:
    """What everything is trained on, in an order of the seed's."""
    return Batches(pictures(train=True).part(0, TRAINED_ON), BATCH, seed=seed)


def top1(model: nn.Module, *, choosing: bool) -> float:
    """Top-1 in percent: on held-out training images while figures are chosen, else on test images."""
    exam: Split = pictures(train=True).part(60_000 - HELD_OUT, 60_000) if choosing else pictures(train=False)
    return round(100 * accuracy(model, Batches(exam, 1000, seed=None), k=(1,))["top1"], 4)


@cache
def top1_of_dense(seed: int, *, choosing: bool) -> float:
    """Top-1 of the dense network of a seed."""
    return top1(dense(seed, EPOCHS), choosing=choosing)


def dense(seed: int, epochs: float) -> nn.Module:
    """The network after so many epochs of dense training, kept in `out/structured`; as it was made, for none."""
    model = network(seed)
    if not epochs:
        return model
    path = OUT / f"dense-{seed}-{epochs:g}.safetensors"
    if path.exists():
        model.load_state_dict(load_file(path))
        return model
    train_(model, batches(seed), FineTune(epochs=epochs, lr=DENSE.lr, weight_decay=DENSE.weight_decay))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    return model


@dataclass(slots=True)
class Clock:
    """CPU time of a run, and of dense steps taken in between on another network, since a machine has its moods.

    Attributes:
        spare: the other network.
        some: batches for it.
        beside: CPU time of its steps.
        steps: how many they are.
        paused: CPU time that is no part of the run: those steps, and judging.
    """

    spare: nn.Module
    some: list[Any]
    beside: float = 0.0
    steps: int = 0
    paused: float = 0.0
    _began: float = field(default_factory=time.process_time)

    def tick(self, what: str, done: int, total: int) -> None:
        """A progress that times dense steps now and then."""
        if done % EVERY == 0 and what in ("sparsify", "fine-tune"):
            began = time.process_time()
            train_(self.spare, self.some, DENSE_ONCE)
            spent = time.process_time() - began
            self.beside, self.steps, self.paused = self.beside + spent, self.steps + TIMED, self.paused + spent

    def look(self, masked: nn.Module) -> dict[str, Tensor]:
        """The state of a network without its masks, in time that does not count."""
        began = time.process_time()
        found = {name: value.clone() for name, value in unmask_(copied(masked)).state_dict().items()}
        self.paused += time.process_time() - began
        return found

    def seconds(self) -> float:
        """CPU time of the run so far."""
        return time.process_time() - self._began - self.paused


DENSE_ONCE = FineTune(epochs=1, lr=1e-3, weight_decay=DENSE.weight_decay)


def trained(name: str, choice: Choice, seed: int) -> dict[str, Any]:
    """What a recipe makes of the network of a seed; done once for each choice, and kept in `out/structured`.

    Args:
        name: of the row.
        choice: what the row leaves open.
        seed: of weights, order of images and everything else that is random.

    Returns:
        "told", what is known without judging; "cut" and "end", the network right after the cut and after all, as the
        state of one of full width.
    """
    path = OUT / f"{name.replace(', ', '-').replace(' ', '-')}-{choice[0]:g}-{choice[1]:g}-{seed}.pt"
    if path.exists():
        kept: dict[str, Any] = torch.load(path, weights_only=True)
        return kept
    entry = ENTRIES[name]
    how, before = entry.make(*choice), dense(seed, entry.start)
    clock = Clock(network(seed), list(islice(batches(seed), TIMED)))
    cut: list[dict[str, Tensor]] = []

    def tune(masked: nn.Module) -> None:
        cut.append(clock.look(masked))
        assert how.finetune is not None
        train_(masked, batches(seed), how.finetune, progress=clock.tick, what="fine-tune")

    made = secateur.compress(
        before,
        how,
        example_inputs=torch.zeros(1, 1, 28, 28),
        data=batches(seed),
        seed=seed,
        run=Run(runtimes=(), train=tune, progress=clock.tick),
    )
    seconds, a_step = clock.seconds(), clock.beside / clock.steps
    told = {
        "macs": made.report.after.macs / made.report.before.macs,
        "cost": entry.start / EPOCHS + seconds / (a_step * DENSE.steps(TRAINED_ON // BATCH)),
        "seconds": round(seconds, 1),
        "dense step": round(a_step, 4),
        "kept": {group: int(keep.sum()) for group, keep in made.plan.kept.items()},
    }
    found = {"told": told, "cut": cut[0], "end": clock.look(made.masked)}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(found, path)
    return found


def key_of(name: str, choice: Choice, seed: int) -> dict[str, Any]:
    """What tells one record from all others."""
    return {"method": name, "figure": choice[0], "after": choice[1], "seed": seed}


def judged(name: str, choice: Choice, seed: int, *, choosing: bool) -> dict[str, Any]:
    """One row for one seed, with held-out images as judges while figures are chosen, else with test images."""
    found, model, told = trained(name, choice, seed), network(seed), {}
    for key, title in (("cut", "after the cut"), ("end", "top1")):
        model.load_state_dict(found[key])
        told[title] = top1(model.eval(), choosing=choosing)
    who = {**key_of(name, choice, seed), "dense": top1_of_dense(seed, choosing=choosing)}
    return {**who, **told, **found["told"]}


def read(path: Path) -> list[dict[str, Any]]:
    """Everything that was found."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def note(path: Path, record: dict[str, Any]) -> None:
    """Show a record and keep it."""
    print(json.dumps(record), flush=True)
    with path.open("a") as file:
        print(json.dumps(record), file=file)
