"""bn_scale: absolute values of the scales, read off the network."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.criteria.oracles import _layers as o
from secateur.criteria import BNScale
from secateur.testing import case as cases


def error() -> float:
    subject = cases.normed()
    found = o.unit_scores(BNScale(), subject.model, list(subject.batches))
    norms = [m for m in subject.model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    wanted = [[abs(scale) for scale in norm.weight.tolist()] for norm in norms]
    return max(o.worst(x, np.array(y)) for x, y in zip(found.values(), wanted, strict=True))
