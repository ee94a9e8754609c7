"""Random: the control that every method has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Collector, ElementCriterion, Traits
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.core.rng import generator
from secateur.core.scores import Scope
from secateur.criteria.base import criterion
from secateur.evidence import Weight


@criterion("random")
@dataclass(frozen=True, kw_only=True)
class Random(ElementCriterion):
    """A uniform random number for each weight.

    Paper:   Blalock et al., *What is the State of Neural Network Pruning?*, MLSys 2020, Sec. 6 (controls).
             arXiv:2003.03033
    Formula: s(w) ~ U(0, 1), independent, from a generator that depends on seed and tensor name only
    Shapes:  tensor (*) -> scores (*)
    Cost:    O(n) for n weights; no data
    Differs: nothing

    Attributes:
        seed: same seed, same scores.

    Example:
        >>> Random(seed=3)
        Random(seed=3)
    """

    seed: int = 0
    paper: ClassVar[Paper | None] = Paper("blalock2020")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight,)
    traits: ClassVar[Traits] = Traits(
        scale="invariant",
        zero_is_least=False,
        permutation_equivariant=False,
        rescale_invariant=True,
        comparable=Scope.GLOBAL,
    )

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """Uniform noise in the tensor's shape."""
        shape = evidence[Weight][tensor].shape
        return torch.rand(shape, generator=generator(self.seed, "random", tensor))
