"""Codecs: whole numbers as bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

from torch import Tensor

from secateur.core.paper import Paper


class Codec(ABC):
    """Writes whole numbers as bytes and reads them back, losslessly."""

    paper: ClassVar[Paper | None] = None

    @abstractmethod
    def encode(self, symbols: Tensor) -> bytes:
        """Bytes of `symbols` `(n,)`, whole numbers from 0 to 2^32 - 1."""

    @abstractmethod
    def decode(self, content: bytes, count: int) -> Tensor:
        """The `count` symbols of `content`, int64 `(count,)`; anything but what `encode` wrote may be a `CodecError`.

        The count is not in the bytes: whoever keeps them knows it, and can judge it before anything is allocated.
        """

    @abstractmethod
    def bound(self, symbols: Tensor) -> float:
        """The most bits that `encode` spends on `symbols`; what it states over the entropy is its overhead."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]
