"""Decoupled knowledge distillation: how sure, and what else, weighted apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from secateur.core.contracts import DistillLoss, Outputs
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.distill.base import distillation, logits, must_be_positive, rows


@distillation("dkd")
@dataclass(frozen=True, kw_only=True)
class DKD(DistillLoss):
    """Divergence about the right class, and divergence among the others, each with a weight of its own.

    Paper:   Zhao et al., *Decoupled Knowledge Distillation*, CVPR 2022, Eq. 7. arXiv:2203.08679
    Formula: D = T^2 mean of (alpha TCKD + beta NCKD), TCKD = KL([p, 1 - p]_T || [p, 1 - p]_S), p that of the right
             class; NCKD = KL of what is left, the right class left out. KD is alpha = 1, beta = 1 - p_T
    Shapes:  logits (B, classes, ..), class numbers (B, ..) -> scalar
    Cost:    B classes; one forward pass of the teacher
    Differs: the paper raises the weight of this loss over the first epochs; here it is constant

    Attributes:
        alpha: weight of the right class.
        beta: weight of the others.
        temperature: T.

    Example:
        >>> same = Outputs(torch.tensor([[1.0, 2.0, 0.0]]), {})
        >>> float(DKD().loss(same, same, torch.tensor([1])))
        0.0
    """

    alpha: float = 1.0
    beta: float = 8.0
    temperature: float = 4.0
    paper: ClassVar[Paper | None] = Paper("zhao2022")

    def __post_init__(self) -> None:
        must_be_positive(alpha=self.alpha, beta=self.beta, temperature=self.temperature)

    def loss(self, student: Outputs, teacher: Outputs, target: Any) -> Tensor:
        """Both divergences."""
        said, taught = rows(logits(student.output)), rows(logits(teacher.output).detach())
        if not isinstance(target, Tensor) or target.is_floating_point() or target.numel() != len(said):
            raise IncompatibleError(
                "dkd needs class numbers (B, ..) as targets, one for each row of logits. Choose kd for other targets."
            )
        right = F.one_hot(target.flatten(), said.shape[1]).bool()
        sure, others = zip(*(_split(z / self.temperature, right) for z in (said, taught)), strict=True)
        about, among = (F.kl_div(s, t, reduction="batchmean", log_target=True) for s, t in (tuple(sure), tuple(others)))
        return self.temperature**2 * (self.alpha * about + self.beta * among)


def _split(scores: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Logarithms of `[p, 1 - p]`, `(B, 2)`, and of what the other classes share, `(B, classes - 1)`."""
    others = scores[~right].view(len(scores), -1)
    both = torch.stack((scores[right], others.logsumexp(1)), 1)
    return F.log_softmax(both, 1), F.log_softmax(others, 1)
