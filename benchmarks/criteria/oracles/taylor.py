"""taylor: gradients of every batch by PyTorch's `backward`, squares of products one by one."""

from __future__ import annotations

import numpy as np
from torch.nn import functional as F

from benchmarks.criteria.oracles import _layers as o
from secateur.criteria import Taylor

NAMES = ["0.weight", "2.weight", "5.weight"]


def error() -> float:
    model, data, worst = o.convolutions(), o.batches(), 0.0
    found = o.saliencies(Taylor(), model, data, NAMES)
    for name in NAMES:
        weight = model.get_parameter(name)
        wanted = np.zeros(weight.shape)
        for x, y in data:
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            assert weight.grad is not None
            wanted += (weight.grad * weight.detach()).numpy() ** 2 / len(data)
        worst = max(worst, o.worst(found[name], wanted))
    return worst
