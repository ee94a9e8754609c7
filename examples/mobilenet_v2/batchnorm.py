"""Batch-norm statistics of a pruned network, re-estimated on few photos without importing their bias.

Replacing the statistics by those of the photos harms even the dense network: the photos are few and differ
from ImageNet. That bias is known, however, for the dense network went through the same photos and its
published statistics are right. So the pruned network gets the published statistics, corrected by what
pruning changed on the photos:

    mean = published mean + (mean of the pruned network - mean of the dense network)
    variance = published variance x variance of the pruned network / variance of the dense network

Both networks see the same crops, in one pass, and a norm is corrected as soon as the crops reach it: the
layers behind it see what they will see afterwards. Without pruning, nothing changes.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Moments = tuple[Tensor, Tensor]
"""Mean and variance of each channel, over photos and places."""

_TINY = 1e-12


@torch.no_grad()
def correct_(pruned: nn.Module, dense: nn.Module, crops: Tensor) -> None:
    """Corrects the statistics of a pruned network by the dense network's own bias on the same crops.

    Args:
        pruned: The masked network; changed in place. Its norms have the shapes that the dense ones have.
        dense: The network that it was cut from, with the published statistics.
        crops: ``[n, 3, h, w]``; all go through at once, about 10 MB of memory each.
    """
    reference = _moments(dense, crops)
    published = {name: (norm.running_mean, norm.running_var) for name, norm in norms(dense).items()}

    def set_(name: str, norm: nn.BatchNorm2d, x: Tensor) -> None:
        mean, variance = moments(x)
        old_mean, old_variance = reference[name]
        norm.running_mean.copy_(published[name][0] + mean - old_mean)
        norm.running_var.copy_(published[name][1] * variance / old_variance.clamp_min(_TINY))

    _run(pruned, crops, set_)


@torch.no_grad()
def replace_(network: nn.Module, crops: Tensor) -> None:
    """Replaces the statistics of a network by those of the crops: the usual re-estimation, for comparison."""

    def set_(name: str, norm: nn.BatchNorm2d, x: Tensor) -> None:
        mean, variance = moments(x)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    _run(network, crops, set_)


def norms(network: nn.Module) -> Mapping[str, nn.BatchNorm2d]:
    """All batch norms of a network by name."""
    return {name: module for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}


def moments(x: Tensor) -> Moments:
    """Mean and variance of each channel of ``[batch, channels, h, w]``."""
    variance, mean = torch.var_mean(x, dim=(0, 2, 3))
    return mean, variance


def _moments(network: nn.Module, crops: Tensor) -> Mapping[str, Moments]:
    found: dict[str, Moments] = {}

    def note(name: str, norm: nn.BatchNorm2d, x: Tensor) -> None:
        found[name] = moments(x)

    _run(network, crops, note)
    return found


def _run(network: nn.Module, crops: Tensor, look: Callable[[str, nn.BatchNorm2d, Tensor], None]) -> None:
    was_training = network.training
    network.eval()
    with _watched(network, look):
        network(crops)
    network.train(was_training)


@contextmanager
def _watched(network: nn.Module, look: Callable[[str, nn.BatchNorm2d, Tensor], None]) -> Iterator[None]:
    """Calls ``look(name, norm, input)`` before each norm runs."""
    handles = [
        norm.register_forward_pre_hook(lambda module, args, name=name: look(name, module, args[0]))
        for name, norm in norms(network).items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
