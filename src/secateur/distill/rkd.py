"""Relational knowledge distillation: examples lie to each other as they do for the teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from secateur.core.contracts import DistillLoss, Outputs
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.distill.base import distillation, logits


@distillation("rkd")
@dataclass(frozen=True, kw_only=True)
class RKD(DistillLoss):
    """Distances of pairs and angles of triples of examples, compared by Huber's loss.

    Paper:   Park, Kim, Lu, Cho, *Relational Knowledge Distillation*, CVPR 2019, Eq. 5 to 9. arXiv:1904.05068
    Formula: distance: mean of l(|s_i - s_j| / mu_S, |t_i - t_j| / mu_T), mu the mean distance of the batch;
             angle: mean of l(cos at j of s_i s_j s_k, cos at j of t_i t_j t_k); l(x, y) = d^2 / 2 below |d| = 1, then
             |d| - 1/2
    Shapes:  logits (B, classes) or features (B, ..) -> scalar; widths may differ
    Cost:    B^2 width, and B^3 for angles
    Differs: nothing

    Attributes:
        layers: modules whose outputs are compared; none for the logits.
        distance: weight of distances.
        angle: weight of angles.

    Example:
        >>> same = Outputs(torch.tensor([[1.0, 2.0], [0.0, 1.0], [3.0, 1.0]]), {})
        >>> float(RKD().loss(same, same, None))
        0.0
    """

    layers: tuple[str, ...] = ()
    distance: float = 1.0
    angle: float = 2.0
    paper: ClassVar[Paper | None] = Paper("park2019")

    def __post_init__(self) -> None:
        if min(self.distance, self.angle) < 0 or self.distance == self.angle == 0:
            raise IncompatibleError(
                f"distance and angle must be 0 or more and not both 0, got distance={self.distance!r}, "
                f"angle={self.angle!r}."
            )

    def loss(self, student: Outputs, teacher: Outputs, target: Any) -> Tensor:
        """Distances and angles; the target is not looked at."""
        if self.layers:
            met = [(student.features[name], teacher.features[name]) for name in self.layers]
        else:
            met = [(logits(student.output), logits(teacher.output))]
        return torch.stack([self._relations(s.flatten(1), t.detach().flatten(1)) for s, t in met]).mean()

    def _relations(self, said: Tensor, taught: Tensor) -> Tensor:
        apart, wanted = _differences(said), _differences(taught)
        found = said.new_zeros(())
        if self.distance:
            found = found + self.distance * F.smooth_l1_loss(_distances(apart), _distances(wanted))
        if self.angle:
            found = found + self.angle * F.smooth_l1_loss(_cosines(apart), _cosines(wanted))
        return found

    @classmethod
    def examples(cls) -> list[RKD]:
        """On logits, and on the layer that the contract offers."""
        return [cls(), cls(layers=("layer",), angle=0.0)]


def _differences(points: Tensor) -> Tensor:
    return points[None] - points[:, None]


def _distances(apart: Tensor) -> Tensor:
    found: Tensor = torch.linalg.vector_norm(apart, dim=2)
    return found / found[found > 0].mean() if bool(found.any()) else found


def _cosines(apart: Tensor) -> Tensor:
    unit = F.normalize(apart, dim=2)
    return unit @ unit.transpose(1, 2)
