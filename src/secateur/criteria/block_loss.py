"""Block loss: a residual block matters as much as the loss rises without it."""

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
from secateur.evidence import BlockLoss as LossWithout


@criterion("block_loss")
@dataclass(frozen=True, kw_only=True)
class BlockLoss(ModuleCriterion):
    """Rise of the loss when a residual block is replaced by the identity, measured and not estimated.

    Paper:   Veit et al., *Residual Networks Behave Like Ensembles of Relatively Shallow Networks*, NIPS 2016, Sec. 4.1
             (deleting individual layers). arXiv:1605.06431
    Formula: s_i = E[ L(network without block i) - L(network) ]; below zero where the block does harm
    Shapes:  residual blocks -> scores (residual blocks,)
    Cost:    blocks + 1 forward passes per batch
    Differs: the paper deletes blocks to study networks, and reports the error; here the loss ranks them. Blocks are
             tried one by one, so what several do together is not seen

    Example:
        >>> BlockLoss.traits.zero_is_least
        False
    """

    paper: ClassVar[Paper | None] = Paper("veit2016")
    needs: ClassVar[tuple[type[Collector], ...]] = (LossWithout,)
    traits: ClassVar[Traits] = Traits(zero_is_least=False, data_free=False, comparable=Scope.GLOBAL)

    def score(self, modules: Sequence[str], evidence: Evidence) -> Tensor:
        """The rise of the loss of each."""
        return torch.stack([evidence[LossWithout][name] for name in modules])
