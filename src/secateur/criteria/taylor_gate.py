"""First-order Taylor saliency of whole units: all that reads one is counted together, with its sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Collector, Traits, UnitCriterion
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.core.groups import Group
from secateur.core.paper import Paper
from secateur.core.scores import Scope
from secateur.criteria.base import criterion
from secateur.evidence import GateGradient


@criterion("taylor_gate")
@dataclass(frozen=True, kw_only=True)
class TaylorGate(UnitCriterion):
    """First-order Taylor importance of a gate on each unit.

    Paper:   Molchanov et al., *Importance Estimation for Neural Network Pruning*, CVPR 2019, the joint importance of a
             set of weights, and gates. arXiv:1906.10771
    Formula: s_u = E_b[ (sum over the entries e that read unit u of g_e w_e) ** 2 ], g of the batch's mean loss
    Shapes:  -> scores (units,)
    Cost:    one forward and backward pass per batch; O(n) memory for n weights
    Differs: the gate sits where the unit is read, which makes it exactly the first-order change of the loss when the
             unit is cut; the paper's sits behind the batch norm, which is the same in front of ReLU and average
             pooling. A plain mean over batches instead of a running mean. Units that no weight reads have their gate
             where they are made

    Example:
        >>> TaylorGate.traits.data_free
        False
    """

    paper: ClassVar[Paper | None] = Paper("molchanov2019")
    needs: ClassVar[tuple[type[Collector], ...]] = (GateGradient,)
    traits: ClassVar[Traits] = Traits(rescale_invariant=True, data_free=False, comparable=Scope.GLOBAL)

    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """The squared gradient at each unit's gate."""
        found = evidence[GateGradient]
        home = next((slot for slot in group.slots if slot.tensor in found), None)
        if home is None:
            raise IncompatibleError(
                f"group {group.name!r} has no parameter, so taylor_gate has no gradient for it. "
                "Choose another criterion, taylor2017 for instance."
            )
        return found[home.tensor][home.dim, home.index].double().mean(1)
