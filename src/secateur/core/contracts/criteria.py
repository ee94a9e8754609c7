"""Criteria: which units matter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from torch import Tensor

from secateur.core.contracts.evidence import Collector
from secateur.core.evidence import Evidence
from secateur.core.groups import Group
from secateur.core.paper import Paper
from secateur.core.scores import Scope


@dataclass(frozen=True, slots=True)
class Traits:
    """Promises of a criterion; each one switches a contract test on.

    Attributes:
        scale: what happens to the scores when one group's weights are multiplied by c > 0.
        rescale_invariant: multiplying a layer by c and dividing the next one by c around a ReLU changes nothing.
        zero_is_least: a unit whose tensors are all zero gets the lowest score.
        permutation_equivariant: permuting units permutes scores.
        data_free: needs no batches.
        comparable: the widest scope in which scores may be ranked.
    """

    scale: Literal["equivariant", "invariant", "none"] = "none"
    rescale_invariant: bool = False
    zero_is_least: bool = True
    permutation_equivariant: bool = True
    data_free: bool = True
    comparable: Scope = Scope.GROUP


class Criterion(ABC):  # noqa: B024  abstract all the same: derive from one of the three kinds below
    """Says how much each unit matters. It sees evidence, never the model.

    Attributes:
        paper: where it was published.
        needs: what must be collected for it.
        traits: what it promises.
        in_order: blocks are decided in order of execution, and each is scored on weights in which what the blocks
            before it lose is zero already. Only for criteria that need nothing but weights.
    """

    paper: ClassVar[Paper | None] = None
    needs: ClassVar[tuple[type[Collector], ...]] = ()
    traits: ClassVar[Traits] = Traits()
    in_order: ClassVar[bool] = False

    def of_share(self, keep: float) -> Self:
        """The same criterion where the share `keep` stays, for those whose scores depend on it; by default itself."""
        return self

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


class ElementCriterion(Criterion):
    """Scores every entry of a tensor, and so works with every granularity."""

    @abstractmethod
    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """Score of every entry of `tensor`, in its shape; additive over entries."""


class UnitCriterion(Criterion):
    """Scores whole units of a group; meets structured granularities only."""

    @abstractmethod
    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """Score of every unit, `(group.units,)`."""


class ModuleCriterion(Criterion):
    """Scores whole modules; meets modular granularities only."""

    @abstractmethod
    def score(self, modules: Sequence[str], evidence: Evidence) -> Tensor:
        """Score of every module, `(len(modules),)`."""
