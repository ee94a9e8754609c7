"""Short runs of weights that go together, as wide as a register."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.granularity.base import Filters, Layout, WithinWeights, granularity, turned


@granularity("block")
@dataclass(frozen=True, kw_only=True)
class Block(WithinWeights):
    """Runs of `size` weights: neighbouring outputs at one place of the input, or neighbouring inputs of one output.

    A kernel that multiplies sparse matrices loads such a run at once. A layer whose outputs (inputs) do not divide into
    runs stays whole.

    Paper:   Narang et al., *Block-Sparse Recurrent Neural Networks*, 2017. arXiv:1711.02782
    Shapes:  saliency (outputs, inputs, *kernel) -> scores (outputs / size * inputs * kernel,), or
             (outputs * inputs * kernel / size,)

    Attributes:
        size: weights in a run.
        along: "outputs", or "inputs": the entries of a row of `weight.flatten(1)`, in the order of im2col.
    """

    size: int = 4
    along: Literal["outputs", "inputs"] = "outputs"
    paper: ClassVar[Paper | None] = Paper("narang2017")

    def __post_init__(self) -> None:
        if self.along not in ("outputs", "inputs") or self.size < 2:
            raise IncompatibleError(
                f"size must be 2 or more and along 'outputs' or 'inputs', got size={self.size!r}, along={self.along!r}."
            )

    def refuses(self, weight: Filters) -> str:
        """Runs must divide what they run along."""
        found = weight.shape[0] if self.along == "outputs" else prod(weight.shape[1:])
        return turned(weight) or (f"its {self.along} are not a multiple of {self.size}" if found % self.size else "")

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """The weights of a run lie within a unit."""
        if self.along == "outputs":
            return Layout((shape[0] // self.size, self.size, *shape[1:]), (1,))
        return Layout((shape[0], prod(shape[1:]) // self.size, self.size), (2,))

    @classmethod
    def examples(cls) -> list[Block]:
        """Both directions."""
        return [cls(size=4, along="outputs"), cls(size=16, along="inputs")]
