"""Block influence: a residual block that hardly turns its input matters little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Collector, ModuleCriterion, Traits
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.core.scores import Scope
from secateur.criteria.base import criterion
from secateur.evidence import BlockCosine


@criterion("block_influence")
@dataclass(frozen=True, kw_only=True)
class BlockInfluence(ModuleCriterion):
    """One minus the mean cosine between input and output of a residual block.

    Paper:   Men et al., *ShortGPT: Layers in Large Language Models are More Redundant Than You Expect*, 2024
             (block influence). arXiv:2403.03853
    Formula: s_i = 1 - E_t[ x_t . f_i(x)_t / (|x_t| |f_i(x)_t|) ], t every token or place
    Shapes:  residual blocks -> scores (residual blocks,)
    Cost:    one forward pass per batch
    Differs: of images, a vector is the channels of one place; the paper knows only tokens

    Example:
        >>> BlockInfluence.traits.zero_is_least
        True
    """

    paper: ClassVar[Paper | None] = Paper("men2024")
    needs: ClassVar[tuple[type[Collector], ...]] = (BlockCosine,)
    traits: ClassVar[Traits] = Traits(data_free=False, comparable=Scope.GLOBAL)

    def score(self, modules: Sequence[str], evidence: Evidence) -> Tensor:
        """One minus the cosine; not below zero, where rounding would put it."""
        return 1 - torch.stack([evidence[BlockCosine][name] for name in modules]).clamp_max(1)
