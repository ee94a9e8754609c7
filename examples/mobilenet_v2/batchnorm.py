"""Batch-norm statistics re-estimated, corrected by the dense network's own bias on the same photos.

Replacing the statistics by those of the photos harms even the dense network: the photos are few and differ from
ImageNet. That bias is known, however, for the dense network can go through the same photos and its published
statistics are right. So a pruned network gets the published statistics, corrected by what pruning changed:

    mean     = published mean     + (mean of the pruned network - mean of the dense network)
    variance = published variance x (variance of the pruned network / variance of the dense network)

Both networks see the same crops, all at once, and a norm is corrected just before the crops enter it, so that the
layers behind it see what they will see afterwards. Where nothing was pruned, nothing changes.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from secateur import PruningPlan

Look = Callable[[Tensor], None]
"""Told the input of a module, before the module runs."""

_TINY = 1e-12


@torch.no_grad()
def replace_(network: nn.Module, crops: Tensor) -> None:
    """Replaces the statistics of a network by those of the crops: the usual re-estimation, for comparison.

    Args:
        network: Changed in place.
        crops: ``[n, 3, h, w]``; all go through at once, about 20 MB of memory each.
    """

    def look(norm: nn.BatchNorm2d) -> Look:
        def set_(x: Tensor) -> None:
            set_statistics_(norm, *moments(x))

        return set_

    with watched(network, {name: look(norm) for name, norm in norms(network).items()}):
        network(crops)


@torch.no_grad()
def correct_(pruned: nn.Module, dense: nn.Module, plan: PruningPlan, crops: Tensor) -> None:
    """Corrects the statistics of a pruned network by the dense network's own bias on the same crops.

    Args:
        pruned: The shrunk network, in evaluation mode; changed in place.
        dense: The network that it was cut from, with the published statistics.
        plan: What was cut.
        crops: ``[n, 3, h, w]``; all go through at once, about 20 MB of memory each.
    """
    with watched(pruned, corrections(pruned, dense, plan, dense_moments(dense, crops))):
        pruned(crops)


def corrections(
    pruned: nn.Module, dense: nn.Module, plan: PruningPlan, before: Mapping[str, tuple[Tensor, Tensor]]
) -> dict[str, Look]:
    """What to do at the door of each norm: take the moments of its input and correct the published ones.

    Args:
        pruned: The shrunk network.
        dense: The network that it was cut from.
        plan: What was cut.
        before: What `dense_moments` found.

    Returns:
        A function for each norm by name.
    """
    stays = plan.graph.dim_keeps(plan.kept)
    published = norms(dense)

    def look(name: str, norm: nn.BatchNorm2d) -> Look:
        keep = stays.get(f"{name}.weight", {}).get(0, slice(None))

        def set_(x: Tensor) -> None:
            mean, variance = moments(x)
            old_mean, old_variance = (value[keep] for value in before[name])
            set_statistics_(
                norm,
                published[name].running_mean[keep] + mean - old_mean,
                published[name].running_var[keep] * variance / old_variance.clamp_min(_TINY),
            )

        return set_

    return {name: look(name, norm) for name, norm in norms(pruned).items()}


@torch.no_grad()
def dense_moments(dense: nn.Module, crops: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and variance of what enters each norm of a network, by name; the network is not changed."""
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def look(name: str) -> Look:
        def note(x: Tensor) -> None:
            found[name] = moments(x)

        return note

    with watched(dense, {name: look(name) for name in norms(dense)}):
        dense(crops)
    return found


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel of ``[n, channels, h, w]``."""
    variance, mean = torch.var_mean(x, dim=(0, 2, 3))
    return mean, variance


def norms(network: nn.Module) -> dict[str, nn.BatchNorm2d]:
    """All batch norms of a network by name."""
    return {name: module for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}


def set_statistics_(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Overwrites the running statistics of a norm."""
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


@contextmanager
def watched(network: nn.Module, looks: Mapping[str, Look]) -> Iterator[None]:
    """Shows the input of some modules, named, to a function each, just before they run."""

    def hook(look: Look) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        return lambda module, args: look(args[0])

    with ExitStack() as stack:
        for name, look in looks.items():
            stack.callback(network.get_submodule(name).register_forward_pre_hook(hook(look)).remove)
        yield
