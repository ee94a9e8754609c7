"""Growing: what is to go is charged more and more, until it is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Regularizer
from secateur.core.errors import IncompatibleError
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.regularizers.base import check_positive, regularizer, silenced, weights


@regularizer("growing")
@dataclass(frozen=True, kw_only=True)
class Growing(Regularizer):
    """Growing regularisation: GReg-1 chooses at once what is to go, GReg-2 after all weights were charged for a while.

    Paper:   Wang et al., *Neural Pruning via Growing Regularization*, ICLR 2021, Algorithm 1 (GReg-1) and 2 (GReg-2).
             arXiv:2012.09243
    Formula: R = lambda / 2 sum w^2 over the weights that are to go; every so many steps lambda <- min(ceiling, lambda +
             delta). GReg-2 charges all weights until lambda = choose, and only then chooses, by the sizes that the
             charge has driven apart; those that stay are charged nothing from then on
    Shapes:  weights of convolutions and linear layers
    Cost:    O(weights) per step; one plan
    Differs: the choice is the recipe's, by any criterion and allocation; of a channel, the weights that read it are
             charged as well

    Attributes:
        delta: by how much lambda rises, and where it begins.
        every: steps between two rises.
        ceiling: the most that lambda becomes.
        choose: of GReg-2, the lambda at which it chooses; 0 for GReg-1.

    Example:
        >>> Growing(choose=0.01).ceiling
        1.0
    """

    delta: float = 1e-4
    every: int = 5
    ceiling: float = 1.0
    choose: float = 0.0
    paper: ClassVar[Paper | None] = Paper("wang2021")

    def __post_init__(self) -> None:
        check_positive(delta=self.delta, choose=self.choose)
        if self.every < 1 or self.ceiling < max(self.delta, self.choose):
            raise IncompatibleError(
                f"every must be 1 or more and ceiling at least delta and choose, got every={self.every!r}, "
                f"ceiling={self.ceiling!r}, delta={self.delta!r}, choose={self.choose!r}."
            )

    def start(self, at: Moment) -> None:
        """Choose, or charge all that may be chosen."""
        at.memory["lambda"] = torch.tensor(self.delta, dtype=torch.float64)
        self._choose(at, everything=self.choose > 0)

    def penalty(self, at: Moment) -> Tensor:
        """The charge, differentiable."""
        goes = {name[5:]: share for name, share in at.memory.items() if name.startswith("goes:")}
        charged = [(at.value(name).square() * share).sum() for name, share in goes.items()]
        return 0.5 * float(at.memory["lambda"]) * torch.stack(charged).sum()

    def after_step(self, at: Moment) -> None:
        """Raise lambda, and choose when it is time."""
        if at.step % self.every:
            return
        before = float(at.memory["lambda"])
        after = min(self.ceiling, before + self.delta)
        at.memory["lambda"] = torch.tensor(after, dtype=torch.float64)
        if before < self.choose <= after:
            self._choose(at, everything=False)

    @classmethod
    def examples(cls) -> list[Growing]:
        """Both algorithms."""
        return [cls(), cls(delta=1e-3, every=1, choose=2e-3)]

    def _choose(self, at: Moment, *, everything: bool) -> None:
        plan = at.plan_for(at.keep(1.0), again=True)
        masks, charged = plan.masks(), set(weights(at.graph))
        for name in silenced(plan):
            if name in charged:
                whole = torch.ones_like(at.parameters[name], requires_grad=False)
                stays = masks[name].to(whole) if name in masks else whole
                at.memory[f"goes:{name}"] = whole if everything else whole - stays
