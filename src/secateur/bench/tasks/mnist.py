"""MNIST, bundled: 60,000 training and 10,000 test images of handwritten digits (LeCun, Cortes, Burges)."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor

from secateur.core.errors import CodecError
from secateur.core.rng import generator

_MEAN, _STD = 0.1307, 0.3081


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Images and labels in memory.

    Attributes:
        images: `(n, 1, 28, 28)` float32, standardised with the training mean and deviation.
        labels: `(n,)` long.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


class Batches:
    """Mini-batches of a split, in a new order on every walk; the orders depend on the seed alone."""

    def __init__(self, split: Split, size: int = 128, *, seed: int | None = 0) -> None:
        """Batch `split` by `size`; `seed=None` keeps the stored order and the last, smaller batch."""
        self.split, self.size, self.seed = split, size, seed
        self.walks = 0

    def __len__(self) -> int:
        return len(self.split) // self.size if self.seed is not None else -(-len(self.split) // self.size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.arange(len(self.split))
        if self.seed is not None:
            order = torch.randperm(len(self.split), generator=generator(self.seed, "order", str(self.walks)))
            self.walks += 1
        for number in range(len(self)):
            chosen = order[number * self.size : (number + 1) * self.size]
            yield self.split.images[chosen], self.split.labels[chosen]


def mnist(train: bool) -> Split:
    """The training (60,000) or the test (10,000) images."""
    name = "train" if train else "t10k"
    images = _idx(f"{name}-images-idx3-ubyte.gz").astype(np.float32)
    standard = (images / 255 - _MEAN) / _STD
    return Split(
        torch.from_numpy(standard).unsqueeze(1), torch.from_numpy(_idx(f"{name}-labels-idx1-ubyte.gz").astype(np.int64))
    )


def _idx(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Read one IDX file: magic number (zero, zero, type, dims), then big-endian sizes, then bytes."""
    raw = gzip.decompress(files("secateur.bench.tasks").joinpath("mnist", name).read_bytes())
    dims = raw[3]
    shape = tuple(int.from_bytes(raw[4 + 4 * d : 8 + 4 * d], "big") for d in range(dims))
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * dims)
    if raw[:3] != b"\x00\x00\x08" or values.size != int(np.prod(shape)):
        raise CodecError(f"{name} is not a whole IDX file of bytes. Install the package again.")
    return values.reshape(shape)
