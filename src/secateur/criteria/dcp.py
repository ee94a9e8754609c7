"""Discrimination-aware channel pruning: channels come in by how much the loss asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Collector, Traits, UnitCriterion
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.core.groups import Group
from secateur.core.paper import Paper
from secateur.criteria.base import Reader, criterion, readers
from secateur.evidence import Discrimination, InputGram, Weight

#: Squared gradients that are no more than this share of the first ones are rounding.
_NOTHING = 1e-16
#: What is left of an entry's square, once it is told from the units that are in, and no more than this, is rounding.
_DEPENDENT = 1e-10


@criterion("dcp")
@dataclass(frozen=True, kw_only=True)
class DCP(UnitCriterion):
    """Greedy choice of the channels that reconstruction and classification miss most; the score is the turn to come in.

    Paper:   Zhuang et al., *Discrimination-aware Channel Pruning for Deep Neural Networks*, NeurIPS 2018, Algorithm 2
             and Eq. 6 to 9. arXiv:1810.11809
    Formula: L(W) = E[ || Y - W x || ^ 2 ] / (2 rows) + balance L_p(W), W_k = 0 for all k outside A; from A = {} on, A
             grows by argmax_k || dL/dW_k ||_F, and W is fitted on A again; the first to come in scores `units`
    Shapes:  group -> scores (units,), each number from 1 to units once
    Cost:    about entries^3 / 2 for each layer that reads the group; twice the memory of `InputGram`
    Differs: L_p, the loss of the next auxiliary classifier, is taken as linear around the dense weights
             (`Discrimination`), so that every step of the greedy choice has a closed form and needs no network; the
             paper trains after each. The network is not fine-tuned with the auxiliary losses first, and layers see
             inputs of the dense network. Classifiers stand at even distances. Of a residual stream the losses of all
             layers that read it are added. The stop of DCP-Adapt ends the choice; how many channels stay is up to the
             allocation

    Attributes:
        balance: weight of the classification losses.
        tolerance: once a step changes L by less than this share of its first value, the channels that are left are
            ranked by their gradients as they are; 0 goes on to the end.

    Example:
        >>> DCP(tolerance=0.01)
        DCP(balance=1.0, tolerance=0.01)
    """

    balance: float = 1.0
    tolerance: float = 0.0
    paper: ClassVar[Paper | None] = Paper("zhuang2018")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight, InputGram, Discrimination)
    # Each unit has a turn of its own, among equals the lower number is earlier: so equal units score unequally.
    traits: ClassVar[Traits] = Traits(permutation_equivariant=False, data_free=False)

    def __post_init__(self) -> None:
        if self.balance < 0 or self.tolerance < 0:
            raise IncompatibleError(
                f"balance and tolerance must be 0 or more, got {self.balance!r} and {self.tolerance!r}."
            )

    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """The turn in which each unit comes in, from behind."""
        asked = evidence[Discrimination]
        sides = [_Side(one, asked[one.name].double(), self.balance) for one in readers(group, evidence)]
        order, first = list[int](), sum(side.loss() for side in sides)
        start = _wanted(sides, order)
        while len(order) < group.units:
            wanted = _wanted(sides, order)
            if float(wanted.max()) < _NOTHING * float(start.max()):
                wanted = start  # what is in stands for all the others; each would be worth what it is alone
            best = [u for u in torch.sort(wanted, descending=True, stable=True).indices.tolist() if u not in order]
            order.append(best[0])
            if sum(side.admit(best[0]) for side in sides) < self.tolerance * abs(first):
                now = _wanted(sides, order)
                order += sorted(best[1:], key=lambda unit: (-float(now[unit]), unit))
        turns = torch.zeros(group.units, dtype=torch.float64)
        turns[order] = torch.arange(group.units, 0, -1, dtype=torch.float64)
        return turns

    @classmethod
    def examples(cls) -> list[DCP]:
        """To the end, and with an early stop."""
        return [cls(), cls(tolerance=0.05)]


def _wanted(sides: list[_Side], inside: list[int]) -> Tensor:
    """Squared norms of the gradients of all units over all layers, `(units,)`; -1 for those that are in."""
    found = torch.stack([side.gradients() for side in sides]).sum(0)
    found[inside] = -1
    return found


class _Side:
    """What one layer says: the quadratic L as a function of the columns of all units, fitted on those that are in.

    Letting a unit in is a step of a Cholesky factorisation by blocks, E[x x^T] = F F^T on the units that are in. It
    leaves the gradient for all others at the fitted weights.
    """

    def __init__(self, reader: Reader, asked: Tensor, balance: float) -> None:
        order = reader.places.flatten()
        self._shape = reader.places.shape
        self._rows = reader.weight.shape[0] * reader.weight.shape[1]
        self._weight = reader.weight[:, :, order]  # (groups, rows, units * entries)
        self._gram = reader.gram[:, order][:, :, order]
        self._asked = balance * asked.reshape(reader.weight.shape)[:, :, order]
        self._slopes = self._asked - self._weight @ self._gram / self._rows
        self._factor = torch.zeros_like(self._gram)
        self._filled = 0

    def loss(self) -> float:
        """L with all units out, less what no choice changes."""
        squares = (self._weight @ self._gram * self._weight).sum() / (2 * self._rows)
        return float(squares - (self._asked * self._weight).sum())

    def gradients(self) -> Tensor:
        """Squared norm of dL/dW_k of every unit, `(units,)`; 0 for those that are in."""
        return self._slopes.square().sum((0, 1)).view(self._shape).sum(1)

    def admit(self, unit: int) -> float:
        """Fit once more with this unit in; returns by how much L falls."""
        size = self._shape[1]
        own = slice(unit * size, (unit + 1) * size)
        known = self._factor[:, :, : self._filled]
        column = self._gram[:, :, own] - known @ known[:, own].mT
        values, vectors = torch.linalg.eigh(column[:, own])
        least = _DEPENDENT * self._gram[:, own, own].diagonal(dim1=1, dim2=2).amax(1, keepdim=True)
        turn = vectors * torch.where(values > least, values.clamp_min(1e-300).rsqrt(), 0.0).unsqueeze(1)
        new, pull = column @ turn, self._slopes[:, :, own] @ turn
        self._factor[:, :, self._filled : self._filled + size] = new
        self._filled += size
        self._slopes -= pull @ new.mT
        self._slopes[:, :, own] = 0
        return float(pull.square().sum()) * self._rows / 2
