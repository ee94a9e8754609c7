"""Knowledge distillation: the student answers as softly as its teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F

from secateur.core.contracts import DistillLoss, Outputs
from secateur.core.paper import Paper
from secateur.distill.base import distillation, logits, must_be_positive, rows


@distillation("kd")
@dataclass(frozen=True, kw_only=True)
class KD(DistillLoss):
    """Divergence of the student's softened answers from the teacher's.

    Paper:   Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 2. arXiv:1503.02531
    Formula: D = T^2 mean over rows of KL(softmax(z_T / T) || softmax(z_S / T))
    Shapes:  logits (B, classes, ..) -> scalar
    Cost:    B classes; one forward pass of the teacher
    Differs: the paper's is cross-entropy, which has the same gradients and is not 0 at the teacher. The T^2 keeps the
             size of gradients whatever the temperature

    Attributes:
        temperature: T; the higher, the more the wrong answers count.

    Example:
        >>> import torch
        >>> same = Outputs(torch.tensor([[1.0, 2.0]]), {})
        >>> float(KD().loss(same, same, None))
        0.0
    """

    temperature: float = 4.0
    paper: ClassVar[Paper | None] = Paper("hinton2015")

    def __post_init__(self) -> None:
        must_be_positive(temperature=self.temperature)

    def loss(self, student: Outputs, teacher: Outputs, target: Any) -> Tensor:
        """The divergence; the target is not looked at."""
        said, taught = rows(logits(student.output)), rows(logits(teacher.output).detach())
        found = F.kl_div(
            F.log_softmax(said / self.temperature, 1),
            F.log_softmax(taught / self.temperature, 1),
            reduction="batchmean",
            log_target=True,
        )
        return self.temperature**2 * found
