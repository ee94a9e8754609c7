"""The network, the calibration batches and the photos that judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.quality.photos import task

CALIBRATION = 64


@dataclass(frozen=True, slots=True)
class Subject:
    """MobileNetV2 with ImageNet weights.

    Attributes:
        dense: the network, in eval mode.
        example: one photo.
        batches: random crops of calibration photos, 32 at a time.
        photos: held out, `(n, 3, 224, 224)`.
        wanted: the dense network's logits of them.
    """

    dense: nn.Module
    example: Tensor
    batches: list[Any]
    photos: Tensor
    wanted: Tensor

    def judged(self, run: Callable[[Tensor], Tensor], batch: int = 32) -> dict[str, float]:
        """Agreement of first guesses with the dense network's, its standard error, and the relative logit error.

        Args:
            run: photos to logits.
            batch: photos in one call.
        """
        with torch.no_grad():
            found = torch.cat([run(part) for part in self.photos.split(batch)])
        same = float((found.argmax(1) == self.wanted.argmax(1)).double().mean())
        z, wanted = (x - x.mean(1, keepdim=True) for x in (found, self.wanted))
        error = float((z - wanted).norm() / (wanted - wanted.mean(0)).norm())
        return {"agreement": same, "stderr": sqrt(same * (1 - same) / len(found)), "logit_error": error}


def subject(seed: int) -> Subject:
    """The same network and photos for every seed, which draws the crops."""
    found = task(seed)
    photos = found.photos
    with torch.no_grad():
        wanted = torch.cat([found.dense(part) for part in photos.split(32)])
    batches = [(x[:32], y[:32]) for x, y in found.data[: CALIBRATION // 32]]
    return Subject(found.dense, found.example, batches, photos, wanted)
