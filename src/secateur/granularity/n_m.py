"""N:M sparsity: of every M neighbours, N stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

from secateur.core.contracts import Block
from secateur.core.errors import IncompatibleError
from secateur.core.groups import ChannelGraph
from secateur.core.paper import Paper
from secateur.granularity.base import Filters, Layout, WithinWeights, granularity, turned


@granularity("n_m")
@dataclass(frozen=True, kw_only=True)
class NM(WithinWeights):
    """Exactly `n` of every `m` neighbouring weights of a row stay: 2:4 is what sparse tensor cores multiply.

    Neighbours are entries of a row of `weight.flatten(1)`, in the order of im2col. A layer whose rows are no multiple
    of `m` long stays whole. The pattern says how much goes, so a budget has nothing to decide: write "1 weights", or no
    less than what the pattern leaves.

    Paper:   Mishra et al., *Accelerating Sparse Deep Neural Networks*, 2021 (2:4). arXiv:2104.08378
    Shapes:  saliency of a tensor -> scores (entries,), row by row

    Attributes:
        n: weights that stay.
        m: neighbours among which they are chosen.
    """

    n: int = 2
    m: int = 4
    paper: ClassVar[Paper | None] = Paper("mishra2021")

    def __post_init__(self) -> None:
        if not 0 < self.n < self.m:
            raise IncompatibleError(f"n must be at least 1 and less than m, got n={self.n!r}, m={self.m!r}.")

    def refuses(self, weight: Filters) -> str:
        """Runs must divide the rows."""
        odd = prod(weight.shape[1:]) % self.m
        return turned(weight) or (f"its rows are no multiple of {self.m} long" if odd else "")

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """Every entry is a unit."""
        return Layout(shape)

    def blocks(self, graph: ChannelGraph) -> Sequence[Block]:
        """One block for each weight whose rows divide into runs."""
        whole = [(block, block.units // self.m * self.n) for block in super().blocks(graph)]
        return [replace(block, minimum=stay, maximum=stay, run=self.m) for block, stay in whole]

    @classmethod
    def examples(cls) -> list[NM]:
        """2:4, 1:4 and 4:8."""
        return [cls(n=2, m=4), cls(n=1, m=4), cls(n=4, m=8)]
