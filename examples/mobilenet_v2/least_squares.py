"""Each projection refitted, so that a block with fewer hidden channels puts out what the dense block does.

A block's last convolution is 1 x 1, so its outputs are a linear function of the hidden channels. When some of these
go, the best weights for the others solve a least-squares problem: as ThiNet does (Luo et al., ICCV 2017,
arXiv:1707.06342), but from the pruned network's own inputs, so that a block also makes up for the blocks before it.
No label is used. The constant that a fit would need is the business of the batch norm behind the convolution.
"""

import torch
from batchnorm import Look, corrections, dense_moments, watched
from torch import Tensor, nn

from secateur import PruningPlan
from secateur.bench.zoo.mobilenet_v2 import InvertedResidual

RIDGE = 1e-2  # Of the mean variance of the hidden channels; holds the weights where few crops say little.


@torch.no_grad()
def refit_(pruned: nn.Module, dense: nn.Module, plan: PruningPlan, crops: Tensor) -> None:
    """Refits all projections and corrects all batch norms, from the first layer to the last, in one pass.

    Args:
        pruned: The shrunk network, in evaluation mode; changed in place. Blocks must have kept their outer width.
        dense: The network that it was cut from.
        plan: What was cut.
        crops: ``[n, 3, h, w]``; all go through at once, about 20 MB of memory each.
    """
    wanted = _projected(dense, crops)

    def look(name: str) -> Look:
        projection = pruned.get_submodule(name)

        def fit_(x: Tensor) -> None:
            projection.weight.copy_(_fit(rows(x), wanted.pop(name), projection.weight.flatten(1))[:, :, None, None])

        return fit_

    fits = {name: look(name) for name in projections(pruned)}
    with watched(pruned, fits | corrections(pruned, dense, plan, dense_moments(dense, crops))):
        pruned(crops)


def projections(network: nn.Module) -> list[str]:
    """Names of the last convolution of every block."""
    blocks = {name: block for name, block in network.named_modules() if isinstance(block, InvertedResidual)}
    return [f"{name}.conv.{len(block.conv) - 2}" for name, block in blocks.items()]


def _projected(dense: nn.Module, crops: Tensor) -> dict[str, Tensor]:
    """What each projection of the dense network puts out, ``[places, channels]``."""
    found: dict[str, Tensor] = {}

    def look(name: str) -> Look:
        projection = dense.get_submodule(name)

        def note(x: Tensor) -> None:
            found[name] = rows(projection.forward(x))

        return note

    with watched(dense, {name: look(name) for name in projections(dense)}):
        dense(crops)
    return found


def _fit(hidden: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Ridge regression of ``wanted`` on ``hidden``, both less their means, drawn towards ``weight``.

    Args:
        hidden: ``[places, hidden channels]``.
        wanted: ``[places, channels]``.
        weight: The weights so far, ``[channels, hidden channels]``.

    Returns:
        The new weights, ``[channels, hidden channels]``.
    """
    gram, cross = covariance(hidden, hidden), covariance(hidden, wanted)
    ridge = RIDGE * gram.diagonal().mean()
    fitted = torch.linalg.solve(
        gram + ridge * torch.eye(len(gram), dtype=gram.dtype), cross + ridge * weight.T.double()
    )
    return fitted.T.to(weight)


def covariance(x: Tensor, y: Tensor) -> Tensor:
    """Covariances of the columns of ``x`` and ``y``, ``[places, n]`` and ``[places, m]``: ``[n, m]`` in float64."""
    return (x.T @ y).double() / len(x) - torch.outer(x.mean(0).double(), y.mean(0).double())


def rows(x: Tensor) -> Tensor:
    """``[n, channels, h, w]`` as ``[places, channels]``."""
    return x.permute(0, 2, 3, 1).flatten(0, 2)
