"""The rank of feature maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from secateur.evidence.base import InputAverage, collector, maps


@collector("feature_rank")
class FeatureRank(InputAverage):
    """Average rank of the feature maps that every convolution and linear layer receives from a cuttable group.

    A map in one dim is a matrix with one row; of three dims the last two are laid side by side. Where maps come to a
    linear layer flattened, they have the shape that they had before; if it cannot be told, each column is a map of its
    own.

    Shapes: weight name -> `(entries of the weight's consuming dim,)`, the mean over examples
    Cost:   one singular value decomposition for each map and example
    """

    def figures(self, name: str, module: nn.Module, x: Tensor) -> Tensor:
        """The ranks of all maps."""
        if isinstance(module, nn.Linear):
            whole = _before_flatten(x)
            if whole is not None:
                return _ranks(whole).repeat_interleave(x.shape[1] // whole.shape[1], 1)
            return _ranks(maps(module, x))
        assert isinstance(module, nn.modules.conv._ConvNd)  # noqa: SLF001  nothing else is a layer
        batch = x if x.ndim == module.weight.ndim else x.unsqueeze(0)
        found = _ranks(batch)
        if module.groups == 1 or module.transposed:
            return found
        return torch.unflatten(found, 1, (module.groups, -1)).mean(1)


def _ranks(x: Tensor) -> Tensor:
    """Ranks of `(examples, channels, *places)`: `(examples, channels)`."""
    wide = x.detach().to(torch.promote_types(x.dtype, torch.float32))
    matrices = wide.unsqueeze(2) if x.ndim == 3 else wide.flatten(3)
    found: Tensor = torch.linalg.matrix_rank(matrices)
    return found.to(wide.dtype)


def _before_flatten(x: Tensor) -> Tensor | None:
    """The maps `(examples, channels, *places)` that `x` is a flat view of."""
    base: Tensor | None = x._base  # noqa: SLF001  torch has no public name for the tensor that a view looks at
    if x.ndim != 2 or base is None or base.ndim < 3 or base.numel() != x.numel():
        return None
    same = len(base) == len(x) and base.data_ptr() == x.data_ptr() and base.is_contiguous() and x.is_contiguous()
    return base if same else None
