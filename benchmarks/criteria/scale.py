"""Second-order pruning of one large linear layer: seconds, memory, and what the outputs lose.

python -m benchmarks.criteria.scale [--size 4096] [--rows 2048]
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
    name = " + ".join(f"`{type(part).__name__}`" for part in (criterion, *repairs))
    try:
        start = time.process_time()
        assert isinstance(criterion, ElementCriterion)
        scores = score(graph, criterion, evidence, granularity=Weights())
        scored = time.process_time() - start
        made = plan(graph, scores, Budget(0.5, of="units"))
        student = mask(model, made)
        start = time.process_time()
        for repair in repairs:
            repair.repair_(student, model, made, Known(evidence, []))
        repaired = time.process_time() - start
    except IncompatibleError as error:
        return f"| {name} | — | — | — | refused: {error} |"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return f"| {name} | {scored:.1f} | {repaired:.1f} | {peak:.1f} | {100 * lost(model, student, x):.2f} % |"


def table(size: int = 4096, rows: int = 2048) -> str:
    """The section of the page."""
    model, x, graph = setting(size, rows)
    start = time.process_time()
    needs = [Weight, InputGram, InputNorm, *OBSUpdate.needs]
    evidence = collect(model, [(part, None) for part in x.split(256)], needs, graph=graph)
    found = [
        f"A linear layer of {size} x {size} weights and {rows:,} rows of inputs; one half of the weights stays. "
        f"Evidence for all rows takes {time.process_time() - start:.0f} s. Seconds are CPU time on one thread; memory "
        "is the most that the process has had so far; errors are squared, as a share of the squared outputs.\n",
        "| method | scores, s | repair, s | memory so far, GiB | error of the outputs |\n|---|--:|--:|--:|--:|",
    ]
    for criterion, repairs in WAYS:
        found.append(measure(model, x, graph, evidence, criterion, repairs))
        print(found[-1], flush=True)
    return "\n".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--rows", type=int, default=2048)
    how = parser.parse_args()
    torch.set_num_threads(1)
    print(table(how.size, how.rows))


if __name__ == "__main__":
    main()
