"""Block scale: a residual block that is multiplied by little before it is added matters little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Collector, ModuleCriterion, Traits
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.core.scores import Scope
from secateur.criteria.base import criterion
from secateur.evidence import BlockScale as Scale


@criterion("block_scale")
@dataclass(frozen=True, kw_only=True)
class BlockScale(ModuleCriterion):
    """Mean absolute scale with which a residual block adds to the stream.

    Paper:   Huang and Wang, *Data-Driven Sparse Structure Selection for Deep Neural Networks*, ECCV 2018, Sec. 3.
             arXiv:1707.01213
    Formula: s_i = E_c[ |gamma_ic| ], gamma_i the scales of the last batch norm of what block i adds
    Shapes:  residual blocks -> scores (residual blocks,)
    Cost:    O(channels); no data
    Differs: the paper trains one factor for each block, as `SSS(over="block")` does; when training ends, that factor is
             multiplied into these scales, and of a network that was trained without one they are all there is

    Example:
        >>> BlockScale.traits.data_free
        True
    """

    paper: ClassVar[Paper | None] = Paper("huang2018")
    needs: ClassVar[tuple[type[Collector], ...]] = (Scale,)
    traits: ClassVar[Traits] = Traits(comparable=Scope.GLOBAL)

    def score(self, modules: Sequence[str], evidence: Evidence) -> Tensor:
        """The scales, one for each block."""
        found = evidence[Scale]
        bare = [name for name in modules if name not in found]
        if bare:
            raise IncompatibleError(
                f"block {bare[0]!r} ends in no batch norm, so there is no scale with which it is added. "
                "Use block_influence or block_loss."
            )
        return torch.stack([found[name] for name in modules])
