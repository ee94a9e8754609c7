"""FitNets: the student's features, as far as a linear map goes, are the teacher's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import DistillLoss, Outputs
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.distill.base import distillation, need_layers, pairs


@distillation("fitnets")
@dataclass(frozen=True, kw_only=True)
class FitNets(DistillLoss):
    """Squared distance of features, after the best linear map where the student has other channels than the teacher.

    Paper:   Romero et al., *FitNets: Hints for Thin Deep Nets*, ICLR 2015, Eq. 3. arXiv:1412.6550
    Formula: D = mean over layers of mean (h_T - R h_S)^2 / 2; R the identity where channels are as many, and else
             argmin_R of the same over this batch, one matrix on all places
    Shapes:  features (B, channels, ..) -> scalar
    Cost:    elements; with a map, positions * channels^2 for each layer
    Differs: the paper learns R along with the student and then leaves these layers alone; here R is solved for in every
             batch, so that the loss has no state, and its gradient is that of the minimum (that through R vanishes
             there). Means over elements where the paper sums

    Attributes:
        layers: modules whose outputs are compared.

    Example:
        >>> same = Outputs(None, {"conv": torch.ones(2, 3, 4, 4)})
        >>> float(FitNets(layers=("conv",)).loss(same, same, None))
        0.0
    """

    layers: tuple[str, ...] = ()
    paper: ClassVar[Paper | None] = Paper("romero2015")

    def __post_init__(self) -> None:
        need_layers(self)

    def loss(self, student: Outputs, teacher: Outputs, target: Any) -> Tensor:
        """Half the mean squared distance; the target is not looked at."""
        found = [_distance(*pair) for pair in pairs(self.layers, student, teacher)]
        return torch.stack(found).mean()

    @classmethod
    def examples(cls) -> list[FitNets]:
        """On the layer that the contract offers."""
        return [cls(layers=("layer",))]


def _distance(name: str, said: Tensor, hint: Tensor) -> Tensor:
    if said.shape[2:] != hint.shape[2:] or len(said) != len(hint):
        raise IncompatibleError(
            f"{name!r} gives {tuple(said.shape)} in the student and {tuple(hint.shape)} in the teacher; only the "
            "number of channels may differ. Name another layer."
        )
    if said.shape != hint.shape:
        said, hint = (x.movedim(1, -1).flatten(0, -2) for x in (said, hint))
        if len(said) <= said.shape[1]:
            raise IncompatibleError(
                f"{name!r} has {len(said)} places in a batch for {said.shape[1]} channels, which any map fits. Take "
                "larger batches, or a layer before the pooling."
            )
        said = said @ _best_map(said.detach(), hint)
    return (hint - said).square().mean() / 2


def _best_map(said: Tensor, hint: Tensor) -> Tensor:
    """`(channels of the student, channels of the teacher)`, by least squares in float64; dead channels do no harm."""
    wide, answers = said.double(), hint.double()
    found: Tensor = torch.linalg.pinv(wide.T @ wide, hermitian=True) @ (wide.T @ answers)
    return found.to(said.dtype)
