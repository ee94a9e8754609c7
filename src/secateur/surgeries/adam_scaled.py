"""AdamScaled: gradual pruning by magnitudes that are comparable over layers, since the optimiser has weighed them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Surgery
from secateur.core.errors import MissingEvidenceError
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.core.plan import PruningPlan
from secateur.surgeries.base import check_span, due_between, gone_between, surgery


@surgery("adam_scaled")
@dataclass(frozen=True, kw_only=True)
class AdamScaled(Surgery):
    """Gradual pruning by |w| v^power, v Adam's average of squared gradients, with a bonus for strong rows and columns.

    How large a weight is says little over layers: doubling one layer and halving the next changes nothing, and doubles
    some magnitudes. Squared gradients shrink where magnitudes grow. The bonus empties whole units, which cost neither
    an index nor a bias.

    Paper:   none; schedule and masks as in Zhu and Gupta, *To Prune, or Not to Prune*, 2018. arXiv:1710.01878
    Formula: s = |w| v ** power; s_ij <- s_ij (mean_j s_ij / mean s * mean_i s_ij / mean s) ** lines, for weights
    Shapes:  single weights and biases; rows are outputs, columns are inputs
    Cost:    one score of the network at every revision
    Differs: from gradual magnitude pruning in its score only

    Attributes:
        begin: share of the training before the first revision.
        end: share of the training after which masks stay as they are; the rest recovers.
        every: steps between revisions; 0 revises at the end of every epoch.
        power: of squared gradients; 1/4 weighs them as much as magnitudes are squared in the second order.
        lines: how much rows and columns count; 0 not at all.

    Example:
        >>> AdamScaled().power
        0.25
    """

    begin: float = 0.05
    end: float = 0.75
    every: int = 100
    power: float = 0.25
    lines: float = 0.3
    paper: ClassVar[Paper | None] = Paper("zhu2018")

    def __post_init__(self) -> None:
        check_span(self.begin, self.end, self.every)

    def due(self, at: Moment) -> bool:
        """Every so many steps while pruning goes on, and once at its end."""
        return at.step > 0 and due_between(at, self.begin, self.end, self.every)

    def revise(self, at: Moment) -> PruningPlan:
        """What the schedule leaves now, within what was left before.

        Raises:
            MissingEvidenceError: the optimiser keeps no average of squared gradients.
        """
        saliency = {name: self._score(at, name) for name in at.parameters}
        return at.plan_for(at.keep(gone_between(at, self.begin, self.end)), saliency=saliency)

    def _score(self, at: Moment, name: str) -> Tensor:
        if name not in at.second:
            raise MissingEvidenceError(
                f"the optimiser keeps no average of squared gradients of {name!r}. Train with Adam, or use 'gradual'."
            )
        score = at.parameters[name].detach().abs() * at.second[name] ** self.power
        if score.ndim < 2 or not self.lines:
            return score
        flat = score.flatten(2).sum(2) if score.ndim > 2 else score
        tiny = torch.finfo(score.dtype).tiny
        strength = flat.mean(1, keepdim=True) * flat.mean(0, keepdim=True) / flat.mean().square().clamp_min(tiny)
        return score * (strength**self.lines).reshape(*flat.shape, *[1] * (score.ndim - 2))
