"""How much a feature map says that the others do not."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from secateur.evidence.base import InputAverage, collector, maps


@collector("channel_independence")
class ChannelIndependence(InputAverage):
    """By how much the nuclear norm of all maps of a cuttable group falls when one of them is left out.

    Of each example, the maps are the rows of a matrix, as the consuming layer receives them.

    Formula: c_u = |A|_* - |A without row u|_*, A of shape (units, places)
    Shapes:  weight name -> `(entries of the weight's consuming dim,)`, the mean over examples
    Cost:    units + 1 singular value decompositions for each example
    """

    def figures(self, name: str, module: nn.Module, x: Tensor) -> Tensor:
        """The falls of the norm, for the units of every group that the layer consumes."""
        found = maps(module, x)
        falls = torch.zeros(found.shape[:2], dtype=found.dtype, device=found.device)
        for index in self.units(name):
            rows = found[:, index.to(found.device)].flatten(2)  # (examples, units, places)
            whole = torch.linalg.svdvals(rows).sum(1)
            for unit, entries in enumerate(index.to(found.device)):
                fewer = torch.cat([rows[:, :unit], rows[:, unit + 1 :]], 1)
                left = torch.linalg.svdvals(fewer).sum(1) if fewer.shape[1] else torch.zeros_like(whole)
                falls[:, entries] = (whole - left).clamp_min(0)[:, None]  # it never rises, but for rounding
        return falls
