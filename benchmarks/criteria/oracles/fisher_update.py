"""fisher_update: Hassibi's update for one weight after another, in a random order, the inverse made anew each time."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.criteria.oracles import _cutting as c
from benchmarks.criteria.oracles import _layers as o
from benchmarks.criteria.oracles.obs_update import operated
from benchmarks.criteria.oracles.woodfisher import gradients
from secateur.core.plan import PruningPlan
from secateur.repair import FisherUpdate


def error(damping: float = 1e-3) -> float:
    """In blocks of fewer and of more entries than there are examples, and over the whole network."""
    model, data = o.convolutions(), o.batches()
    names = [name for name, _ in model.named_parameters()]
    worst = 0.0
    for plan in c.plans(model, data):
        for block in (5, 40, 0):
            student = c.repaired([FisherUpdate(block=block, damping=damping)], model, data, plan)
            for group in [[name] for name in names] if block else [names]:
                weight = np.concatenate([model.get_parameter(n).detach().numpy().reshape(-1) for n in group])
                stays, counts = (
                    np.concatenate(found) for found in zip(*[_of(plan, n, model) for n in group], strict=True)
                )
                rows, wanted = gradients(model, data, group), np.zeros_like(weight)
                for at in range(0, len(weight), block or len(weight)):
                    own = np.flatnonzero(counts[at : at + (block or len(weight))]) + at
                    fisher = damping * np.eye(len(own)) + rows[:, own].T @ rows[:, own] / len(rows)
                    wanted[own] = operated(fisher, weight[own], stays[own])
                found = np.concatenate([_effective(student, n).reshape(-1) for n in group])
                worst = max(worst, o.worst(found, wanted))
    return worst


def _of(plan: PruningPlan, name: str, model: o.nn.Module) -> tuple[o.Array, o.Array]:
    """Which entries stay, and which there are to talk about: a filter that went as a whole is none of them."""
    parameter, keep = model.get_parameter(name), plan.masks().get(name)
    stays = np.ones(tuple(parameter.shape), dtype=bool) if keep is None else keep.numpy()
    rows = stays.reshape(len(stays), -1)
    counts = rows | (rows.any(1, keepdims=True) if plan.is_structured else True)
    return rows.reshape(-1), counts.reshape(-1)


def _effective(student: o.nn.Module, name: str) -> o.Array:
    place, _, leaf = name.rpartition(".")
    found: torch.Tensor = getattr(student.get_submodule(place), leaf)
    return found.detach().numpy()
