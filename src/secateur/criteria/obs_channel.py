"""Optimal brain surgeon for whole channels: the error of the layers that read one, once their other weights make up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Collector, Traits, UnitCriterion
from secateur.core.evidence import Evidence
from secateur.core.groups import Group
from secateur.core.paper import Paper
from secateur.core.quadratic import alive, check_damping, damped, factor, halved, inverse
from secateur.criteria.base import Reader, criterion, inputs_of, readers
from secateur.evidence import InputGram, Weight


@criterion("obs_channel")
@dataclass(frozen=True, kw_only=True)
class OBSChannel(UnitCriterion):
    """Group form of the optimal brain surgeon for the columns that a channel owns in each layer that consumes it.

    Paper:   Frantar, Singh, Alistarh, *Optimal Brain Compression*, NeurIPS 2022 (groups of weights).
             arXiv:2208.11580
    Formula: s(u) = sum over consuming layers and their rows of w_P ([H^-1]_PP)^-1 w_P^T / 2, P the unit's columns,
             H = 2 E[x x^T] of what the layer sees: the mean squared error of the outputs once all other columns are
             fitted again
    Shapes:  group -> scores (units,)
    Cost:    entries^3 for each consuming layer
    Differs: the paper takes blocks of weights in one row; here P is a channel and the rows of all outputs go together.
             Layers other than convolutions and linear ones, transposed convolutions too, do not count; H is damped

    Attributes:
        damping: what is added to the diagonal of H, as a share of its mean.

    Example:
        >>> OBSChannel()
        OBSChannel(damping=0.01)
    """

    damping: float = 0.01
    paper: ClassVar[Paper | None] = Paper("frantar2022")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight, InputGram)
    traits: ClassVar[Traits] = Traits(data_free=False)

    def __post_init__(self) -> None:
        check_damping(self.damping)

    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """Sum over the layers that read the group."""
        found = torch.stack([self._of(reader) for reader in readers(group, evidence)]).sum(0)
        grain = float(found.max()) * 1e-12 or 1.0  # equal channels must tie, whatever the factorisation rounds
        return (found / grain).round() * grain

    def _of(self, reader: Reader) -> Tensor:
        """The errors of one layer, `(units,)`."""
        what, places = inputs_of(reader.name), reader.places
        back = inverse(damped(reader.gram, self.damping), what)
        corner = back[:, places.unsqueeze(2), places.unsqueeze(1)]  # (groups, units, entries, entries)
        gone = (reader.weight * alive(reader.gram))[:, :, places].permute(0, 2, 3, 1)  # (groups, units, entries, rows)
        return halved(factor(corner, what), gone).square().sum((0, 2, 3))
