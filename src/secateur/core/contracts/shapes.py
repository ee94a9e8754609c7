"""Factorizers and compact blocks: what stands in for a layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor, nn

from secateur.core.paper import Paper

#: How much of a layer its factors keep: one number or several, `(r,)` of an SVD, `(r_in, r_out)` of Tucker-2.
Ranks = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a layer in a forward pass, which is all that its multiply-accumulates depend on beside its shape.

    Attributes:
        batch: examples; of a linear layer all rows of its input.
        inputs: height and width that a convolution reads; nothing of a linear layer.
        outputs: height and width that it writes.
    """

    batch: int
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """Ranks that a layer may get, and what it would lose with them.

    Attributes:
        ranks: the ranks.
        lost: `||W - W'||^2 / ||W||^2` at these ranks, or the least known bound above it.
    """

    ranks: Ranks
    lost: float


class Factorizer(ABC):
    """Says how one layer becomes several thin ones in a row.

    Attributes:
        paper: where it was published.
        sparse: a part of what it makes is a sparse matrix, of which parameters and multiply-accumulates count the
            entries that may be other than zero, as a sparse kernel would.
    """

    paper: ClassVar[Paper | None] = None
    sparse: ClassVar[bool] = False

    @abstractmethod
    def refusal(self, module: nn.Module) -> str:
        """Why `module` cannot be factorized; empty if it can."""

    @abstractmethod
    def full(self, module: nn.Module) -> Ranks:
        """The least ranks at which nothing is lost, whatever the weights."""

    @abstractmethod
    def curve(self, module: nn.Module) -> Sequence[Candidate]:
        """Ranks to choose from, in order of parameters; the more of them, the less is lost."""

    @abstractmethod
    def unfoldings(self, module: nn.Module) -> Sequence[Tensor]:
        """For every rank the matrix of which it is the rank, float64; empty where ranks are not those of matrices."""

    @abstractmethod
    def factorize(self, module: nn.Module, ranks: Ranks) -> nn.Module:
        """The factors as a new module that computes what `module` does, up to what is lost; `module` stays as it is."""

    @abstractmethod
    def weight(self, factors: nn.Module) -> Tensor:
        """The weight that factors stand for, in the shape of that of the layer that they came from."""

    @abstractmethod
    def params(self, module: nn.Module, ranks: Ranks) -> int:
        """Parameters of the factors, biases included."""

    @abstractmethod
    def macs(self, module: nn.Module, ranks: Ranks, call: Call) -> int:
        """Multiply-accumulates of the factors in one call."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


class CompactBlock(ABC):
    """Says what stands in for a convolution."""

    paper: ClassVar[Paper | None] = None

    @abstractmethod
    def refusal(self, module: nn.Conv2d) -> str:
        """Why it cannot stand in for `module`; empty if it can."""

    @abstractmethod
    def rebuild(self, module: nn.Conv2d) -> nn.Module:
        """A block of the same inputs and outputs, as near to `module` as its form allows; `module` stays as it is."""

    @abstractmethod
    def params(self, module: nn.Conv2d) -> int:
        """Parameters of the block, biases included."""

    @abstractmethod
    def macs(self, module: nn.Conv2d, call: Call) -> int:
        """Multiply-accumulates of the block in one call."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]
