"""`python -m benchmarks.search`: search, train shortly, judge, write the page. What is done already is kept."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import secateur
from benchmarks.quality.dense import HELD_OUT, pictures, resnet
from benchmarks.search.page import PAGE, PICTURE, page, picture
from secateur import SearchRun
from secateur.bench.tasks.images import Batches, Split
from secateur.core.contracts import Known
from secateur.core.recipe import FineTune
from secateur.core.rng import generator
from secateur.criteria import Magnitude
from secateur.granularity import Channel
from secateur.measure import accuracy as top
from secateur.planning import prepare
from secateur.repair import BatchNorm
from secateur.search import AMC, Bayesian, Genetic, NetAdapt, Random, Uniform
from secateur.searching import Searched, search
from secateur.searching.history import best_so_far
from secateur.training import train_

BUDGET = "0.5 macs"
SEARCHES = {
    "uniform": Uniform(),
    "random": Random(),
    "bayesian": Bayesian(),
    "genetic": Genetic(),
    "amc": AMC(),
    "netadapt": NetAdapt(),
}
CALIBRATION = 1_024
TUNING = FineTune(epochs=1, lr=0.02)
REPAIR = (BatchNorm(batches=4),)
#: Pictures that a search judges by; more would make every evaluation dearer, for all searches alike.
JUDGED = 2_000
RECIPE = (Magnitude(p=1), Channel())
OUT = Path(__file__).parents[2] / "out" / "search"
#: Kept in the repository, so that the page can be written, and the rest run, on any machine.
RECORDS = Path(__file__).with_name("records.jsonl")


@dataclass(frozen=True, slots=True)
class Task:
    """A dense network, what it is searched by, and what it is judged by in the end.

    Attributes:
        dense: the network.
        example: inputs for the trace.
        data: calibration pictures, from those that it was trained on.
        held_out: accuracy on training pictures that trained nothing: the search chooses by it.
        test: accuracy on test pictures, asked once for each winner.
        train: what winners are trained on.
    """

    dense: nn.Module
    example: torch.Tensor
    data: list[Any]
    held_out: Callable[[nn.Module], float]
    test: Callable[[nn.Module], float]
    train: Batches


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-search ARGS=…", description=__doc__)
    parser.add_argument("--searches", nargs="+", default=list(SEARCHES), choices=SEARCHES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--smoke", action="store_true", help="four evaluations, little data, nothing is recorded")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    evaluations = 4 if wanted.smoke else wanted.evaluations
    for seed in wanted.seeds:
        task = task_of(seed, smoke=wanted.smoke)
        for name in wanted.searches:
            if wanted.smoke or not any((r["search"], r["seed"]) == (name, seed) for r in records()):
                note(one(task, name, seed, evaluations, OUT / ("smoke" if wanted.smoke else "")), keep=not wanted.smoke)
    if not wanted.smoke:
        PAGE.write_text(page(records()))
        PICTURE.write_text(picture(records()))


def records() -> list[dict[str, Any]]:
    """Everything that was found."""
    return [json.loads(line) for line in RECORDS.read_text().splitlines()] if RECORDS.exists() else []


def note(record: dict[str, Any], *, keep: bool) -> None:
    """Show a record, and keep it."""
    shown = {name: value for name, value in record.items() if name not in ("counts", "course")}
    print(json.dumps(shown), flush=True)
    if keep:
        with RECORDS.open("a") as file:
            print(json.dumps(record), file=file)


def task_of(seed: int, *, smoke: bool = False) -> Task:
    """A ResNet on Fashion-MNIST, one for each seed."""
    dense = resnet(seed, lambda what, done, total: None if done % 100 else print(what, done, total, flush=True))
    first = 60_000 - HELD_OUT
    train, held_out = pictures(train=True).part(0, first), pictures(train=True).part(first, first + JUDGED)
    test = pictures(train=False)
    if smoke:
        train, held_out, test = train.part(0, 1_280), held_out.part(0, 500), test.part(0, 1_000)
    picked = torch.randperm(len(train), generator=generator(seed, "calibration"))[:CALIBRATION]
    data = [(train.images[p], train.labels[p]) for p in picked.split(128)]
    return Task(
        dense,
        test.images[:1],
        data,
        lambda model: accuracy(model, held_out),
        lambda model: accuracy(model, test),
        Batches(train, seed=seed),
    )


def accuracy(model: nn.Module, split: Split) -> float:
    """Top-1."""
    return top(model, Batches(split, 500, seed=None), k=(1,))["top1"]


def one(task: Task, name: str, seed: int, evaluations: int, folder: Path) -> dict[str, Any]:
    """One search, and what its winner is worth on test pictures, before and after a short training."""
    out = folder / f"{name}-{seed}"
    run = SearchRun(evaluations=evaluations, seed=seed, out=out, repair=REPAIR, progress=shown)
    found = search(
        task.dense,
        RECIPE,
        BUDGET,
        example_inputs=task.example,
        quality=task.held_out,
        data=task.data,
        how=SEARCHES[name],
        run=run,
    )
    student = mended(task, found.plan)
    before = task.test(student)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        train_(student, task.train, TUNING)
    return {
        "search": name,
        "seed": seed,
        "evaluations": len(found.history),
        "different": len({tuple(t.counts.values()) for t in found.history}),
        "seconds": round(found.seconds, 2),
        "held_out": found.quality,
        "held_out_dense": found.dense,
        "test_dense": task.test(task.dense),
        "test_before": before,
        "test_after": task.test(student.eval()),
        "reached": found.plan.provenance.reached,
        "reproduced": reproduced(task, found, out),
        "counts": dict(found.best.counts),
        "course": course(found),
    }


def mended(task: Task, plan: secateur.PruningPlan) -> nn.Module:
    """The dense network, masked and with new batch-norm statistics."""
    student = secateur.mask(task.dense, plan)
    known = Known(secateur.collect(task.dense, None, (), graph=plan.graph), task.data)
    for repair in REPAIR:
        repair.repair_(student, task.dense, plan, known)
    return student.eval()


def reproduced(task: Task, found: Searched, out: Path) -> bool:
    """Whether the saved study alone leads to the same winner: its plan, made anew, and its quality."""
    import optuna  # noqa: PLC0415  an extra

    study = optuna.load_study(study_name="secateur", storage=f"sqlite:///{out / 'study.db'}")
    graph = secateur.trace(task.dense, task.example)
    evidence = secateur.collect(task.dense, None, RECIPE[0].needs, graph=graph)
    ready = prepare(graph, secateur.score(graph, RECIPE[0], evidence), secateur.Budget(BUDGET))
    fitting = [trial for trial in study.get_trials() if ready.choices.fits(trial.params)]
    best = max(fitting, key=lambda trial: (trial.value, -trial.number))
    plan = ready.decided(best.params, allocation="")
    same = all(torch.equal(keep, found.plan.kept[name]) for name, keep in plan.kept.items())
    return same and abs(task.held_out(mended(task, plan)) - found.quality) < 1e-3


def course(found: Searched) -> list[float]:
    """The best quality so far after every tenth evaluation; minus one before anything fitted."""
    best = [value if value > float("-inf") else -1.0 for value in best_so_far(found)]
    return [round(best[min(n, len(best) - 1)], 4) for n in range(9, max(len(best), 10), 10)]


def shown(what: str, done: int, total: int) -> None:
    """A line for every twentieth evaluation."""
    if done % 20 == 0:
        print(f"{what}: {done} of {total}", flush=True)


if __name__ == "__main__":
    main()
