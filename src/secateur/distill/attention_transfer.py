"""Attention transfer: the student looks where its teacher looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from secateur.core.contracts import DistillLoss, Outputs
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.distill.base import distillation, need_layers, pairs


@distillation("attention_transfer")
@dataclass(frozen=True, kw_only=True)
class AttentionTransfer(DistillLoss):
    """Distance of normed maps of squared activations; the numbers of channels may differ.

    Paper:   Zagoruyko, Komodakis, *Paying More Attention to Attention: Improving the Performance of Convolutional
             Neural Networks via Attention Transfer*, ICLR 2017, Eq. 2. arXiv:1612.03928
    Formula: D = mean over layers and examples of || Q_S / ||Q_S|| - Q_T / ||Q_T|| ||, Q = vec(sum over c of A_c^2)
    Shapes:  features (B, channels, height, width, ..) -> scalar
    Cost:    elements
    Differs: a mean over layers and examples where the paper sums, so that its weight is another than the paper's beta

    Attributes:
        layers: modules whose outputs are compared.

    Example:
        >>> same = Outputs(None, {"conv": torch.ones(2, 3, 4, 4)})
        >>> float(AttentionTransfer(layers=("conv",)).loss(same, same, None))
        0.0
    """

    layers: tuple[str, ...] = ()
    paper: ClassVar[Paper | None] = Paper("zagoruyko2017")

    def __post_init__(self) -> None:
        need_layers(self)

    def loss(self, student: Outputs, teacher: Outputs, target: Any) -> Tensor:
        """Distance of maps; the target is not looked at."""
        found = []
        for name, said, taught in pairs(self.layers, student, teacher):
            if said.shape[2:] != taught.shape[2:] or said.ndim < 3:
                raise IncompatibleError(
                    f"{name!r} gives {tuple(said.shape)} in the student and {tuple(taught.shape)} in the teacher; maps "
                    "must be of one size, (B, channels, places ..). Name another layer."
                )
            found.append(torch.linalg.vector_norm(_map(said) - _map(taught), dim=1).mean())
        return torch.stack(found).mean()

    @classmethod
    def examples(cls) -> list[AttentionTransfer]:
        """On the layer that the contract offers."""
        return [cls(layers=("layer",))]


def _map(features: Tensor) -> Tensor:
    return F.normalize(features.square().sum(1).flatten(1), dim=1)
