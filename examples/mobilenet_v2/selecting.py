"""Which hidden channels of a block the others can best stand in for, when the projection is refitted afterwards.

Taylor scores say well how much of each block may go, but look at one channel at a time. This goes the other way: it
takes away the channel whose loss adds least to the squared error of the block's output once all other weights have
been refitted, refits, and goes on until the wanted number is left. Each step is exact in closed form, as in Optimal
Brain Surgeon (Hassibi and Stork, NeurIPS 1992), with whole columns of the projection in place of single weights.
"""

from dataclasses import replace

import torch
from batchnorm import Look, watched
from least_squares import RIDGE, covariance, rows
from torch import Tensor, nn

from secateur import PruningPlan
from secateur.bench.zoo.mobilenet_v2 import InvertedResidual


@torch.no_grad()
def reselect(plan: PruningPlan, dense: nn.Module, crops: Tensor) -> PruningPlan:
    """Keeps as many hidden channels of every block as a plan does, but those that serve the block's output best.

    Args:
        plan: Says how many.
        dense: The network.
        crops: ``[n, 3, h, w]``.

    Returns:
        Another plan, of the same cost.
    """
    hidden = hidden_covariances(dense, crops)
    for block, (covariances, weight) in hidden.items():
        kept = best_subset(covariances, weight, plan.width(f"{block}.conv.0.0"))
        plan = plan.keep(f"{block}.conv.0.0", kept)
    how = f"{plan.provenance.criterion} for widths, greedy least squares for channels"
    return replace(plan, provenance=replace(plan.provenance, criterion=how))


def hidden_covariances(dense: nn.Module, crops: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Covariance of what enters the projection of each block that expands, and that projection's weight.

    Args:
        dense: The network.
        crops: ``[n, 3, h, w]``.

    Returns:
        By name of the block ``[hidden, hidden]`` and ``[outputs, hidden]``; the weight is scaled so that every output
        has variance 1.
    """
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def look(block: str, projection: nn.Conv2d) -> Look:
        def note(x: Tensor) -> None:
            spread, weight = covariance(rows(x), rows(x)), projection.weight.flatten(1).double()
            found[block] = spread, weight / ((weight @ spread) * weight).sum(1, keepdim=True).sqrt()

        return note

    blocks = {name: module for name, module in dense.named_modules() if isinstance(module, InvertedResidual)}
    looks = {f"{name}.conv.2": look(name, block.conv[2]) for name, block in blocks.items() if len(block.conv) == 4}
    with watched(dense, looks):
        dense(crops)
    return found


def best_subset(spread: Tensor, weight: Tensor, count: int) -> list[int]:
    """Greedy backward elimination: which inputs of a linear map to keep, the map being refitted all along.

    Args:
        spread: Covariance of the inputs, ``[inputs, inputs]``.
        weight: The map, ``[outputs, inputs]``.
        count: How many to keep.

    Returns:
        The inputs to keep, in order.
    """
    ridge = RIDGE * spread.diagonal().mean()
    inverse = torch.linalg.inv(spread + ridge * torch.eye(len(spread), dtype=spread.dtype))
    weight, alive = weight.clone(), torch.ones(len(spread), dtype=torch.bool)
    for _ in range(len(spread) - count):
        # Leaving input c out raises the squared error by sum_o w_oc^2 / inverse_cc, all others being refitted.
        harm = weight.square().sum(0) / inverse.diagonal().clamp_min(1e-30)
        c = int(harm.masked_fill(~alive, torch.inf).argmin())
        alive[c] = False
        row = inverse[c] / inverse[c, c]
        weight = weight - torch.outer(weight[:, c], row)
        inverse = inverse - torch.outer(inverse[:, c], row)
    return alive.nonzero()[:, 0].tolist()
