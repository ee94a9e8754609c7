"""MNIST for these tables: what is trained on, what hyper-parameters were chosen on, what is judged on."""

from __future__ import annotations

from collections.abc import Iterator
from math import pi

import torch
from torch import Tensor
from torch.nn import functional as F

from secateur.bench.tasks.images import Batches, Split
from secateur.bench.tasks.mnist import mnist
from secateur.core.rng import generator

#: Images at the end of the training set on which hyper-parameters are chosen; the final runs train on them too.
HELD_OUT = 5_000


def splits(*, choosing: bool) -> tuple[Split, Split]:
    """What to train on and what to judge on: while hyper-parameters are chosen, nothing of the test set is seen."""
    train = mnist(train=True)
    if choosing:
        return train.part(0, len(train) - HELD_OUT), train.part(len(train) - HELD_OUT, len(train))
    return train, mnist(train=False)


class Moved(Batches):
    """Batches of which a share of images is turned, scaled, sheared and shifted a little, anew on every walk."""

    def __init__(self, split: Split, size: int = 128, *, seed: int = 0, share: float = 0.5) -> None:
        super().__init__(split, size, seed=seed)
        self.share = share
        self.blank = float(split.images.min())

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        drawn = generator(int(self.seed or 0), "moved", str(self.walks))
        for images, labels in super().__iter__():
            count = round(self.share * len(images))
            moved = images.clone()
            moved[:count] = self._moved(images[:count], drawn)
            yield moved, labels

    def _moved(self, images: Tensor, drawn: torch.Generator) -> Tensor:
        n = len(images)
        angle, shear, grow, across, down = (2 * torch.rand(5, n, generator=drawn) - 1).unbind()
        angle, shear = angle * pi / 15, shear * 0.15
        scale = 1 + 0.1 * grow
        turn = torch.stack([torch.cos(angle), -torch.sin(angle), torch.sin(angle), torch.cos(angle)], 1).view(n, 2, 2)
        skew = torch.stack([torch.ones(n), shear, torch.zeros(n), torch.ones(n)], 1).view(n, 2, 2)
        shift = torch.stack([across, down], 1)[:, :, None] * (4 / 28)
        grid = F.affine_grid(
            torch.cat([turn @ skew * scale[:, None, None], shift], 2), list(images.shape), align_corners=False
        )
        return F.grid_sample(images - self.blank, grid, align_corners=False) + self.blank
