"""Block influence: cosines of single places, one at a time, from tensors that the blocks are run on by hand."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from secateur.core.scores import Scores
from secateur.criteria import BlockInfluence
from secateur.granularity import Layer
from secateur.planning import score
from secateur.testing import case as cases
from secateur.testing.case import Case


def error() -> float:
    subject = cases.residual()
    found = scores(subject).values["layers"]
    pairs = passed(subject)
    wanted = [1 - mean_cosine(vectors(pairs[name])) for name in subject.graph.blocks]
    return max(abs(float(a) - b) / b for a, b in zip(found, wanted, strict=True))


def scores(subject: Case) -> Scores:
    criterion = BlockInfluence()
    return score(subject.graph, criterion, subject.evidence(criterion.needs), granularity=Layer())


def passed(subject: Case) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """What every child of a Sequential is given and returns, batch by batch."""
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for inputs, _ in subject.batches:
        x = inputs
        for name, child in subject.model.named_children():
            with torch.no_grad():
                y = child(x)
            found.setdefault(name, []).append((x, y))
            x = y
    return found


def vectors(pairs: list[tuple[Tensor, Tensor]]) -> list[tuple[list[float], list[float]]]:
    """The channels of every place of every picture."""
    made = []
    for x, y in pairs:
        for n in range(x.shape[0]):
            for i in range(x.shape[2]):
                for j in range(x.shape[3]):
                    made.append((x[n, :, i, j].tolist(), y[n, :, i, j].tolist()))
    return made


def mean_cosine(pairs: list[tuple[list[float], list[float]]]) -> float:
    total = 0.0
    for x, y in pairs:
        sizes = sqrt(sum(v * v for v in x)) * sqrt(sum(v * v for v in y))
        dot = sum(a * b for a, b in zip(x, y, strict=True))
        total += dot / sizes if sizes else float(not any(x) and not any(y))
    return total / len(pairs)
