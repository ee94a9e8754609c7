"""Gauss-Newton: Jacobians of the outputs by autograd, the Hessian of cross-entropy written out, and all multiplied."""

from __future__ import annotations

import torch

from benchmarks.criteria.oracles import _layers as o
from secateur.evidence import GaussNewtonDiagonal


def error() -> float:
    return of(o.convolutions(), o.batches())


def of(model: o.nn.Module, data: list[o.Batch]) -> float:
    """The largest error over all parameters."""
    found = o.evidence_of(model, data, (GaussNewtonDiagonal,))[1][GaussNewtonDiagonal]
    parameters = dict(model.named_parameters())
    wanted = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for x, _ in data:
        for one in x:
            z = model(one.unsqueeze(0)).squeeze(0)
            p = z.softmax(0).detach()
            hessian = torch.diag(p) - torch.outer(p, p)
            rows = [torch.autograd.grad(value, list(parameters.values()), retain_graph=True) for value in z]
            for place, name in enumerate(parameters):
                jacobian = torch.stack([row[place] for row in rows])
                part = torch.einsum("a...,ab,b...->...", jacobian, hessian, jacobian)
                wanted[name] += part / (len(x) * len(data))
    return max(o.worst(found[name], wanted[name].detach()) for name in found)
