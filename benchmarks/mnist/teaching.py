"""Batches with what a teacher says of them, and the loss that listens to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secateur.bench.tasks.images import Batches


class Taught:
    """Batches whose target holds what a teacher says, too."""

    def __init__(self, batches: Batches, teacher: nn.Module) -> None:
        self.batches, self.teacher = batches, teacher.eval()

    def __len__(self) -> int:
        return len(self.batches)

    def state_dict(self) -> dict[str, int]:
        """Where the walk stands."""
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self.batches.load_state_dict(state)

    def __iter__(self) -> Iterator[tuple[Tensor, Any]]:
        for images, labels in self.batches:
            with torch.no_grad():  # not around the yield, or it would hold for the training as well
                told = self.teacher(images)
            yield images, (labels, told)


def taught(output: Tensor, target: Any) -> Tensor:
    """Cross-entropy, and the divergence from what the teacher says, at temperature 2."""
    if isinstance(target, Tensor):
        return F.cross_entropy(output, target)
    labels, wanted = target
    soft = F.kl_div(F.log_softmax(output / 2, 1), F.log_softmax(wanted / 2, 1), log_target=True, reduction="batchmean")
    return 0.5 * F.cross_entropy(output, labels) + 0.5 * 4 * soft
