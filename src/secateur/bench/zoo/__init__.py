"""Small networks of our own, so that tests and demo need no model library: names, makers and example inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from secateur.bench.zoo.lenet import lenet5, lenet_300_100
from secateur.bench.zoo.mobilenet_v2 import mobilenet_v2
from secateur.bench.zoo.resnet import resnet20
from secateur.bench.zoo.vit import vit_tiny
from secateur.core.errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class Entry:
    """One network: how to make it, and the shape of its input without the batch."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]

    def example(self, batch: int = 1) -> Tensor:
        """Zeros of the right shape, `(batch, *shape)`."""
        return torch.zeros(batch, *self.shape)


ZOO: dict[str, Entry] = {
    "lenet_300_100": Entry(lenet_300_100, (1, 28, 28)),
    "lenet5": Entry(lenet5, (1, 28, 28)),
    "resnet20": Entry(resnet20, (3, 32, 32)),
    "mobilenet_v2": Entry(mobilenet_v2, (3, 224, 224)),
    "vit_tiny": Entry(vit_tiny, (3, 32, 32)),
}


def zoo(name: str) -> Entry:
    """The entry called `name`.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in ZOO:
        raise UnknownNameError(f"no zoo model is called {name!r}. Known: {', '.join(ZOO)}.")
    return ZOO[name]
