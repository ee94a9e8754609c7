"""The registry of compact blocks, and what they share."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from secateur.core.contracts import CompactBlock
from secateur.core.errors import UnsupportedError
from secateur.core.registry import Registry

COMPACTS: Registry[type[CompactBlock]] = Registry("compact block")
compact = COMPACTS


def refused(module: nn.Module, *, pointwise: bool = False) -> str:
    """Why `module` is no plain convolution in one group; empty if it is.

    Args:
        module: what shall be replaced.
        pointwise: whether a 1x1 kernel will do.
    """
    if type(module) is not nn.Conv2d:
        return f"it is a {type(module).__name__}, allowed is Conv2d"
    if module.groups > 1:
        return f"it is a convolution in {module.groups} groups, allowed is one of groups=1"
    if prod(module.kernel_size) == 1 and not pointwise:
        return "its kernel is 1x1, and there is nothing to take apart"
    return "" if bool(torch.isfinite(module.weight).all()) else "its weight is not finite"


def checked(block: CompactBlock, module: nn.Conv2d) -> None:
    """Make sure that the block can stand in for `module`.

    Raises:
        UnsupportedError: it cannot.
    """
    reason = block.refusal(module)
    if reason:
        raise UnsupportedError(
            f"{block!r} cannot stand in for the layer: {reason}. Choose another block, or name the layer in frozen=."
        )


def solved(gram: Tensor, right: Tensor) -> Tensor:
    """The least squares solution from normal equations; of many, the smallest."""
    found: Tensor = torch.linalg.pinv(gram, hermitian=True) @ right
    return found
