"""Block scale: how far a block's last norm moves its output when each channel comes in one deviation above its mean."""

from __future__ import annotations

import copy

import torch
from torch import nn

from secateur.bench.zoo.resnet import BasicBlock
from secateur.criteria import BlockScale
from secateur.granularity import Layer
from secateur.planning import score
from secateur.testing import case as cases


def error() -> float:
    subject, criterion = cases.residual(), BlockScale()
    evidence = subject.evidence(criterion.needs)
    found = score(subject.graph, criterion, evidence, granularity=Layer()).values["layers"]
    blocks = [subject.model.get_submodule(name) for name in subject.graph.blocks]
    wanted = [added(block) for block in blocks if isinstance(block, BasicBlock)]
    return max(abs(float(a) - b) / b for a, b in zip(found, wanted, strict=True))


def added(block: BasicBlock) -> float:
    """What the block adds beyond its shift, when its second convolution gives every channel that value."""
    block = copy.deepcopy(block)
    norm = block.bn2
    assert norm.running_mean is not None and norm.running_var is not None
    with torch.no_grad():
        nn.init.zeros_(block.conv2.weight)
        block.conv2.bias = nn.Parameter(norm.running_mean + (norm.running_var + norm.eps).sqrt())
        shift = norm(norm.running_mean.view(1, -1, 1, 1))
        seen: list[torch.Tensor] = []
        handle = norm.register_forward_hook(lambda _, __, y: seen.append(y))
        block(torch.ones(1, block.conv1.in_channels, 3, 3, dtype=torch.float64))
        handle.remove()
        return float((seen[0] - shift).abs().mean())
