"""How many parameters a network has, and how many of them are not zero."""

from __future__ import annotations

from torch import nn

from secateur.files.tensors import distinct


def parameters(model: nn.Module) -> int:
    """Elements of all parameters; tied ones count once."""
    return sum(p.numel() for p in distinct(dict(model.named_parameters()))[0].values())


def nonzeros(model: nn.Module) -> int:
    """Elements of all parameters that are not zero; tied ones count once."""
    return sum(int(p.count_nonzero()) for p in distinct(dict(model.named_parameters()))[0].values())
