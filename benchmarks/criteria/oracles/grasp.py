"""The whole Hessian, entry by entry, times the gradient."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from benchmarks.criteria.oracles._gap import gap
from secateur.criteria import GraSP
from secateur.granularity import Weight
from secateur.planning import score
from secateur.testing import case as cases
from secateur.testing.case import Case

TEMPERATURE = 200.0


def loss_of(case: Case) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The mean loss over all examples as a function of one long vector of weights, and that vector."""
    named = dict(case.model.named_parameters())
    x, y = torch.cat([x for x, _ in case.batches]), torch.cat([y for _, y in case.batches])

    def loss(flat: Tensor) -> Tensor:
        parts = flat.split([p.numel() for p in named.values()])
        weights = {n: part.view(p.shape) for (n, p), part in zip(named.items(), parts, strict=True)}
        return F.cross_entropy(functional_call(case.model, weights, (x,)) / TEMPERATURE, y)

    return loss, torch.cat([p.detach().flatten() for p in named.values()])


def wanted(case: Case) -> dict[str, Tensor]:
    """W H g of every weight by name, H from autograd of the vector function."""
    loss, flat = loss_of(case)
    hessian = torch.autograd.functional.hessian(loss, flat)
    (gradient,) = torch.autograd.grad(loss(flat.requires_grad_()), flat)
    products = flat.detach() * (hessian @ gradient)
    sizes = {n: p.numel() for n, p in case.model.named_parameters()}
    return dict(zip(sizes, products.split(list(sizes.values())), strict=True))


def error() -> float:
    case = cases.plain()
    found = score(case.graph, GraSP(), case.evidence(GraSP.needs), granularity=Weight()).values
    products = wanted(case)
    return max(gap(values.tolist(), products[name].tolist()) for name, values in found.items())
