"""Block loss: networks built without the block, their cross-entropy written out."""

from __future__ import annotations

import copy
from math import exp, log

import torch
from torch import nn

from secateur.core.contracts import Batch
from secateur.criteria import BlockLoss
from secateur.granularity import Layer
from secateur.planning import score
from secateur.testing import case as cases


def error() -> float:
    subject, criterion = cases.residual(), BlockLoss()
    evidence = subject.evidence(criterion.needs)
    found = score(subject.graph, criterion, evidence, granularity=Layer()).values["layers"]
    whole = cross_entropy(subject.model, subject.batches)
    wanted = [cross_entropy(without(subject.model, name), subject.batches) - whole for name in subject.graph.blocks]
    return max(abs(float(a) - b) / abs(b) for a, b in zip(found, wanted, strict=True))


def without(model: nn.Module, name: str) -> nn.Module:
    changed = copy.deepcopy(model)
    setattr(changed, name, nn.Identity())
    return changed


def cross_entropy(model: nn.Module, batches: tuple[Batch, ...]) -> float:
    losses = []
    for x, y in batches:
        with torch.no_grad():
            logits = model(x).tolist()
        losses += [log(sum(exp(v) for v in row)) - row[k] for row, k in zip(logits, y.tolist(), strict=True)]
    return sum(losses) / len(losses)
