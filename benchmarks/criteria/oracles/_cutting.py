"""Cuts for the oracles of repairs."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from benchmarks.criteria.oracles import _layers as o
from secateur.apply.masking import mask
from secateur.core.contracts import Granularity, Known, Repair
from secateur.core.plan import PruningPlan
from secateur.core.rng import generator
from secateur.evidence import collect
from secateur.granularity import Channel, Weight
from secateur.graph.trace import trace

NAMES = ["0.weight", "2.weight", "5.weight"]


def cut(model: nn.Module, data: list[o.Batch], granularity: Granularity, seed: int = 0) -> PruningPlan:
    """A third to a half of every block, by lot."""
    graph = trace(model, data[0][0])
    kept = {}
    for block in granularity.blocks(graph):
        kept[block.name] = torch.ones(block.units, dtype=torch.bool)
        gone = torch.randperm(block.units, generator=generator(seed, block.name))[: max(1, 2 * block.units // 5)]
        kept[block.name][gone] = False
    return PruningPlan(kept, granularity, graph)


def plans(model: nn.Module, data: list[o.Batch]) -> list[PruningPlan]:
    """Single weights, and channels."""
    return [cut(model, data, Weight()), cut(model, data, Channel())]


def repaired(repairs: list[Repair], model: nn.Module, data: list[o.Batch], plan: PruningPlan) -> nn.Module:
    """The masked network after `repairs`."""
    student = mask(model, plan)
    needs = [need for repair in repairs for need in repair.needs]
    known = Known(collect(model, data, needs, graph=plan.graph), data)
    for repair in repairs:
        repair.repair_(student, model, plan, known)
    return student


def weights(model: nn.Module, name: str) -> o.Array:
    """Effective weights, masks applied."""
    layer = model.get_submodule(name.rpartition(".")[0])
    assert isinstance(layer.weight, torch.Tensor)
    return layer.weight.detach().numpy()


def rows_kept(plan: PruningPlan, name: str, shape: tuple[int, ...]) -> o.Array:
    """Which entries stay, `(rows, entries)`."""
    found = plan.masks().get(name)
    return (
        np.ones((shape[0], int(np.prod(shape[1:]))), dtype=bool)
        if found is None
        else found.numpy().reshape(shape[0], -1)
    )
