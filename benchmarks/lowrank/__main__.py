"""`make bench-lowrank`: thin layers and compact blocks, beside their oracles and on a trained LeNet-5.

The network is trained for two epochs on MNIST. Every row then fine-tunes a copy for the same few steps, once on the
labels alone and once beside its teacher, the network that it came from. All that is found is kept in `out/lowrank`, so
that it can be stopped and started again; delete it after a change.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

import secateur
from benchmarks.lowrank.oracles import Row, rows
from secateur.bench.tasks.images import Batches
from secateur.bench.tasks.mnist import mnist
from secateur.bench.zoo.lenet import lenet5
from secateur.compact import COMPACTS
from secateur.core.copying import copied
from secateur.core.errors import BudgetError
from secateur.core.recipe import FineTune
from secateur.distill import Distill, taught
from secateur.lowrank import CP, Factorized
from secateur.measure import accuracy
from secateur.training import train_

PAGE = Path(__file__).parents[2] / "docs" / "lowrank.md"
CACHE = Path("out") / "lowrank" / "lenet5.pt"
DENSE = FineTune(epochs=2, lr=0.05)
#: Training after a cut: some 40 batches. Plain descent at the dense network's rate diverges on products of layers.
TUNE = FineTune(epochs=0.08, lr=3e-4, optimizer="adam")
SWEEPS = 10
ALL, CONVOLUTIONS = (0.7, 0.5, 0.4, 0.3, 0.2), (0.7, 0.6, 0.5, 0.4, 0.35)
METHODS = (
    ("svd", "macs", ALL),
    ("spatial", "macs", CONVOLUTIONS),
    ("cp", "macs", CONVOLUTIONS),
    ("tucker2", "macs", CONVOLUTIONS),
    ("low_rank_plus_sparse", "macs", ALL),
    ("svd", "params", (0.5, 0.3, 0.2, 0.1, 0.05)),
    ("tt", "params", (0.5, 0.3, 0.2, 0.1, 0.08)),
)


@dataclass(frozen=True, slots=True)
class Exam:
    """The dense network and what it is judged and trained on."""

    dense: nn.Module
    example: torch.Tensor
    training: Batches
    test: Batches

    def top1(self, model: nn.Module) -> float:
        """Per cent of the test images."""
        return 100 * accuracy(model, self.test, k=(1,))["top1"]

    def tuned(self, model: nn.Module, *, teacher: bool) -> float:
        """Accuracy of a copy after fine-tuning; the same batches for all."""
        student = copied(model)
        batches = Batches(self.training.split, seed=7)
        if not teacher:
            train_(student, batches, TUNE)
        else:
            with taught(student, self.dense, Distill()) as lesson:
                train_(student, lesson.batches(batches), TUNE, loss=lesson.loss)
        return self.top1(student)


def main() -> None:
    torch.set_num_threads(1)
    start = time.process_time()
    exam = prepared()
    top1 = exam.top1(exam.dense)
    print(f"dense: {top1:.2f}", flush=True)
    bounds = rows(exam.dense, SWEEPS)
    asked = [(name, f"{keep:g} {of}", {"budget": f"{keep} {of}"}) for name, of, shares_ in METHODS for keep in shares_]
    asked += [(name, "vbmf", {"ranks": "vbmf"}) for name in ("svd", "tucker2")]
    thin = [kept(partial(factorized, exam, *one), *one[:2]) for one in asked]
    blocks = [kept(partial(compacted, exam, name), "block", name) for name in COMPACTS]
    PAGE.write_text(page(top1, exam, bounds, thin, blocks))
    print(f"{time.process_time() - start:.0f} s of CPU time; wrote {PAGE.name}")


def prepared() -> Exam:
    """LeNet-5, trained here or in an earlier run."""
    training, test = mnist(train=True), mnist(train=False)
    torch.manual_seed(0)
    dense = lenet5()
    if CACHE.exists():
        dense.load_state_dict(torch.load(CACHE, weights_only=True))
    else:
        train_(dense, Batches(training, seed=0), DENSE)
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        torch.save(dense.state_dict(), CACHE)
    return Exam(dense.eval(), test.images[:1], Batches(training, seed=0), Batches(test, 1000, seed=None))


def factorized(exam: Exam, name: str, asked: str, settings: dict[str, Any]) -> list[str]:
    """One factorizer at one budget."""
    one = CP(sweeps=SWEEPS) if name == "cp" else name
    try:
        thin = secateur.factorize(exam.dense, one, example_inputs=exam.example, only=["conv2", "fc1"], **settings)
    except BudgetError as error:
        return [name, asked, f"needs {error.reachable:.3f}", *["—"] * 6]
    return [name, asked, *judged(exam, thin)]


def kept(make: Callable[[], list[str]], *key: str) -> list[str]:
    """A row, made now or in an earlier run."""
    path = CACHE.with_name("rows.json")
    rows_ = json.loads(path.read_text()) if path.exists() else {}
    if " ".join(key) not in rows_:
        rows_[" ".join(key)] = make()
        path.write_text(json.dumps(rows_, indent=1))
    print(" | ".join(rows_[" ".join(key)]), flush=True)
    return rows_[" ".join(key)]


def judged(exam: Exam, thin: Factorized) -> list[str]:
    ranks = "; ".join(f"{name} {', '.join(map(str, f.ranks))}" for name, f in thin.layers.items())
    energy = "; ".join(f"{f.energy:.3f}" for f in thin.layers.values())
    return [ranks, energy, *shares(thin.macs, thin.params), *qualities(exam, thin.model)]


def compacted(exam: Exam, name: str) -> list[str]:
    """One compact block in place of the second convolution, or why it will not stand there."""
    try:
        found = secateur.rebuild(exam.dense, name, example_inputs=exam.example, only=["conv2"])
    except secateur.SecateurError as error:
        reason = str(error).partition("conv2: ")[2].partition("). ")[0].partition(";")[0]
        return [name, f"refused: {reason}", *["—"] * 5]
    error = f"{found.layers['conv2'].error:.3f}"
    return [name, error, *shares(found.macs, found.params), *qualities(exam, found.model)]


def shares(macs: tuple[int, int], params: tuple[int, int]) -> list[str]:
    return [f"{macs[1] / macs[0]:.3f}", f"{params[1] / params[0]:.3f}"]


def qualities(exam: Exam, model: nn.Module) -> list[str]:
    before = exam.top1(model)
    return [f"{x:.2f}" for x in (before, exam.tuned(model, teacher=False), exam.tuned(model, teacher=True))]


def page(top1: float, exam: Exam, bounds: Sequence[Row], thin: list[list[str]], blocks: list[list[str]]) -> str:
    """The page."""
    plain, beside = exam.tuned(exam.dense, teacher=False), exam.tuned(exam.dense, teacher=True)
    first = [
        [
            r.method,
            r.layer,
            ", ".join(map(str, r.ranks)),
            *(f"{x:.4f}" for x in (r.least, r.lost, r.most)),
            f"{r.exact:.0e}",
        ]
        for r in bounds
    ]
    tune = f"{TUNE.epochs:g} epochs of Adam at a peak rate of {TUNE.lr:g}"
    return f"""# Low rank, compact blocks, distillation

Written by {__doc__}
## Beside their oracles

Share of the square of the weight that is lost, on layers of the trained network, between two figures that NumPy's
singular values give: what no tensor of such ranks can stay below, and what the closed form loses that the method
starts from (SVD and separable filters are that closed form; for CP there is none). The last column is the largest
difference of any weight at full rank, relative to the largest weight; weights are stored in float32.

{table(["method", "layer", "ranks", "least", "lost", "most", "full rank"], first, 3)}

## On LeNet-5

`conv2` and `fc1` may be factorized; they hold 87 % of the multiply-accumulates and 99 % of the parameters. A budget is
of the whole network. Dense: top-1 {top1:.2f} %; after the same fine-tuning as all others {plain:.2f} % on labels,
{beside:.2f} % beside itself. Fine-tuning: {tune}, once on labels, once with 0.1 times
the loss on labels and 0.9 times KD at temperature 4. One seed: differences of a few hundredths mean nothing. CP in
{SWEEPS} sweeps. A budget that even the lowest ranks miss says what they need. Of `low_rank_plus_sparse` counts what a
sparse kernel would do.

{table(["method", "budget", "ranks", "energy", "MACs", "params", "top-1 cut", "on labels", "beside teacher"], thin, 4)}

## Compact blocks on LeNet-5

In the place of `conv2`, the only convolution with more than one input. The error is that of its outputs on positive
noise.

{table(["block", "error", "MACs", "params", "top-1 cut", "on labels", "beside teacher"], blocks, 2)}
"""


def table(head: list[str], body: Sequence[Sequence[str]], words: int) -> str:
    """A table of Markdown whose first columns are words."""
    lines = [head, ["---"] * words + ["---:"] * (len(head) - words), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
