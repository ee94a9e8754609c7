"""Labelled pictures in memory, and mini-batches of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from secateur.core.errors import CodecError
from secateur.core.rng import generator


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Images and labels in memory.

    Attributes:
        images: `(n, channels, height, width)` float32, standardised with the training mean and deviation.
        labels: `(n,)` long.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, first: int, last: int) -> Split:
        """The examples from number `first` on, up to but without `last`."""
        return Split(self.images[first:last], self.labels[first:last])


class Batches:
    """Mini-batches of a split, in a new order on every walk; the orders depend on the seed alone."""

    def __init__(self, split: Split, size: int = 128, *, seed: int | None = 0) -> None:
        """Batch `split` by `size`; `seed=None` keeps the stored order and the last, smaller batch."""
        self.split, self.size, self.seed = split, size, seed
        self.walks = 0

    def state_dict(self) -> dict[str, int]:
        """How often it was walked through, so that a resumed training goes on in the same order."""
        return {"walks": self.walks}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self.walks = int(state["walks"])

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


def from_idx(images: bytes, labels: bytes, *, mean: float, std: float) -> Split:
    """A split from two IDX files, grey values standardised.

    Args:
        images: bytes of `(n, height, width)`.
        labels: bytes of `(n,)`.
        mean: of the training images, grey values from 0 to 1.
        std: their deviation.

    Raises:
        CodecError: one of them is not a whole IDX file.
    """
    standard = (_idx(images, 3).astype(np.float32) / 255 - mean) / std
    return Split(torch.from_numpy(standard).unsqueeze(1), torch.from_numpy(_idx(labels, 1).astype(np.int64)))


def _idx(raw: bytes, dims: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """One IDX file: magic number (zero, zero, type, dims), then big-endian sizes, then bytes."""
    shape = tuple(int.from_bytes(raw[4 + 4 * d : 8 + 4 * d], "big") for d in range(dims))
    values = np.frombuffer(raw[4 + 4 * dims :], np.uint8)
    if raw[:4] != bytes([0, 0, 8, dims]) or values.size != int(np.prod(shape)):
        raise CodecError(f"this is not a whole IDX file of bytes in {dims} dims. Get the data set again.")
    return values.reshape(shape)
