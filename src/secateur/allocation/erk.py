"""Erdos-Renyi: the larger a layer, the sparser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from secateur.allocation.base import allocation, fill, largest_share
from secateur.core.contracts import Allocation, Limits
from secateur.core.scores import Scores


@allocation("erk")
@dataclass(frozen=True, kw_only=True)
class ERK(Allocation):
    """Every layer keeps a share in proportion to the sum of its dims over their product; none more than all.

    With weight `(outputs, inputs, *kernel)` the share is `epsilon (outputs + inputs + sum(kernel)) / (outputs * inputs
    * prod(kernel))`, epsilon the largest that fits the budget; where that exceeds one the layer stays dense, and the
    others make up for it (Evci et al., *Rigging the Lottery*, ICML 2020; arXiv:1911.11134). Scores play no part.

    It was made for single weights. Of channels, a layer keeps the share that its first weight would.

    Attributes:
        kernel: False leaves the kernel's dims out, `(outputs + inputs) / (outputs * inputs)`: the Erdos-Renyi share of
            Mocanu 2018.

    Cost: about 50 evaluations of the budget.
    """

    kernel: bool = True

    def counts(self, scores: Scores, limits: Limits) -> Mapping[str, int]:
        """Units to keep by block."""
        density = {name: self._density(limits.shape(name)) for name in limits.blocks}
        least = min(density.values())

        def at(share: float) -> dict[str, int]:
            epsilon = share / least  # at one, even the sparsest layer is dense; `round` gives no layer more than all
            return {n: limits.round(n, epsilon * density[n] * units) for n, units in limits.blocks.items()}

        def most_rounded_off(now: Mapping[str, int]) -> list[str]:
            return sorted(now, key=lambda name: (now[name] / limits.blocks[name] / density[name], name))

        return fill(largest_share(at, limits), limits, most_rounded_off)

    def _density(self, shape: tuple[int, ...]) -> float:
        dims = shape if self.kernel else shape[:2]
        return sum(dims) / prod(dims)

    @classmethod
    def examples(cls) -> list[ERK]:
        """With and without the kernel."""
        return [cls(), cls(kernel=False)]
