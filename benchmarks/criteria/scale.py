"""Second-order pruning of one large linear layer: seconds, memory, and what the outputs lose.

python -m benchmarks.criteria.scale [--size 4096] [--rows 2048] [--threads 2]
"""

from __future__ import annotations

import argparse
import resource
import time

import torch
from torch import Tensor, nn

from secateur.apply.masking import mask
from secateur.core.budget import Budget
from secateur.core.contracts import Criterion, ElementCriterion, Known, Repair
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.core.groups import ChannelGraph
from secateur.core.rng import generator
from secateur.criteria import OBS, ExactOBS, Magnitude, SparseGPT, Wanda
from secateur.evidence import InputGram, InputNorm, Weight, collect
from secateur.granularity import Weight as Weights
from secateur.graph.trace import trace
from secateur.planning import plan, score
from secateur.repair import OBSUpdate, SparseGPTUpdate

WAYS: tuple[tuple[Criterion, tuple[Repair, ...]], ...] = (
    (Magnitude(), ()),
    (Wanda(), ()),
    (Wanda(), (SparseGPTUpdate(),)),
    (OBS(), (SparseGPTUpdate(),)),
    (SparseGPT(keep=0.5), (SparseGPTUpdate(),)),
    (ExactOBS(), ()),
    (Magnitude(), (OBSUpdate(),)),
)


def setting(size: int, rows: int) -> tuple[nn.Module, Tensor, ChannelGraph]:
    """A layer whose inputs are correlated, with a spectrum that falls."""
    rng = generator(0, "scale")
    model = nn.Sequential(nn.Linear(size, size, bias=False))
    basis = torch.randn(size, size, generator=rng) / size**0.5
    strength = torch.arange(1, size + 1).float().pow(-0.5)
    x = (torch.randn(rows, size, generator=rng) * strength) @ basis + 0.02 * torch.randn(rows, size, generator=rng)
    with torch.no_grad():
        model[0].weight.copy_(torch.randn(size, size, generator=rng) / size**0.5)  # type: ignore[operator, union-attr]
    return model, x, trace(model, x[:2])


def lost(model: nn.Module, student: nn.Module, x: Tensor) -> float:
    """Squared error of the outputs, as a share of their squares."""
    with torch.no_grad():
        y = model(x)
        return float((student(x) - y).square().sum() / y.square().sum())


def measure(
    model: nn.Module,
    x: Tensor,
    graph: ChannelGraph,
    evidence: Evidence,
    criterion: Criterion,
    repairs: tuple[Repair, ...],
) -> str:
    """One row of the table."""
    name = " + ".join([type(criterion).__name__, *(type(r).__name__ for r in repairs)])
    try:
        start = time.perf_counter()
        assert isinstance(criterion, ElementCriterion)
        scores = score(graph, criterion, evidence, granularity=Weights())
        scored = time.perf_counter() - start
        made = plan(graph, scores, Budget(0.5, of="units"))
        student = mask(model, made)
        start = time.perf_counter()
        for repair in repairs:
            repair.repair_(student, model, made, Known(evidence, []))
        repaired = time.perf_counter() - start
    except IncompatibleError as error:
        return f"| {name} | - | - | - | refused: {error} |"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return f"| {name} | {scored:.1f} | {repaired:.1f} | {peak:.1f} | {100 * lost(model, student, x):.2f} % |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    how = parser.parse_args()
    torch.set_num_threads(how.threads)
    model, x, graph = setting(how.size, how.rows)
    start = time.perf_counter()
    evidence = collect(model, [(part, None) for part in x.split(256)], [Weight, InputGram, InputNorm, *OBSUpdate.needs],
                       graph=graph)  # fmt: skip
    print(f"A linear layer {how.size} x {how.size}, {how.rows} rows of inputs, half of the weights kept, "
          f"{how.threads} threads; evidence in {time.perf_counter() - start:.1f} s.\n")  # fmt: skip
    print("| method | scores, s | repair, s | peak so far, GiB | error of the outputs |\n|---|--:|--:|--:|--:|")
    for criterion, repairs in WAYS:
        print(measure(model, x, graph, evidence, criterion, repairs), flush=True)


if __name__ == "__main__":
    main()
