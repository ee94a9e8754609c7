"""Fold what a removed channel says on average into the next bias."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector, Known, Repair
from secateur.core.groups import Role
from secateur.core.paper import Paper
from secateur.core.plan import PruningPlan
from secateur.evidence import InputMean
from secateur.repair.base import repair


@repair("fold_constant")
@dataclass(frozen=True, kw_only=True)
class FoldConstant(Repair):
    """Replace every removed channel by its mean, which is a constant and so belongs into the next layer's bias.

    Paper:   Ye et al., *Rethinking the Smaller-Norm-Less-Informative Assumption*, ICLR 2018, Sec. 4 (constant
             channels). arXiv:1802.00124
    Formula: b_o += sum over removed c of W_oc . E[x_c], W_oc summed over the kernel
    Cost:    one forward pass per batch to collect E[x]; O(weights) to fold
    Differs: the paper folds the exact constant of a channel whose scale is zero; the measured mean equals it there and
             is the best constant elsewhere. Zero padding is not corrected for at the border. A consumer without a bias
             is left alone: the batch norm behind it takes the shift up (`BatchNorm` repair). Means are those of the
             dense network, so the repair is exact for one cut layer and for constant channels; where most channels of
             many layers in a row go at once, the shifts add up to more than was lost, and fine-tuning does better alone
    """

    stage: ClassVar[int] = 0
    paper: ClassVar[Paper | None] = Paper("ye2018")
    needs: ClassVar[tuple[type[Collector], ...]] = (InputMean,)

    def repair_(self, student: nn.Module, dense: nn.Module, plan: PruningPlan, known: Known) -> None:
        """Add the constants to the biases of `student`."""
        means = known.evidence[InputMean]
        gone = _dead_inputs(plan)
        stored = {
            name.replace("parametrizations.", "").removesuffix(".original"): p for name, p in student.named_parameters()
        }
        weights = dict(dense.named_parameters())
        with torch.no_grad():
            for name in sorted(gone.keys() & means.keys()):
                bias = stored.get(name.removesuffix("weight") + "bias")
                if bias is not None:
                    module, weight = dense.get_submodule(name.rpartition(".")[0]), weights[name]
                    dead = gone[name].to(weight)
                    # A grouped convolution tells of one of its groups, and all of them lose the same places.
                    dead = dead.repeat(means[name].numel() // dead.numel())
                    bias.add_(_constant(module, weight, means[name].to(weight) * dead))


def _dead_inputs(plan: PruningPlan) -> Mapping[str, Tensor]:
    """For every consumer the input channels that go, 1 or 0, `(input channels,)`."""
    keeps = plan.graph.dim_keeps(plan.channels)
    gone = {}
    for group in plan.graph.cuttable.values():
        for slot in group.slots_with(Role.CONSUMES):
            if slot.dim in keeps.get(slot.tensor, {}):
                gone[slot.tensor] = ~keeps[slot.tensor][slot.dim]
    return gone


def _constant(module: nn.Module, weight: Tensor, x: Tensor) -> Tensor:
    """What a layer makes of the constant input `x` `(channels,)`, away from borders; `(outputs,)`."""
    if isinstance(module, nn.Linear):
        return weight @ x
    assert isinstance(module, nn.modules.conv._ConvNd)  # noqa: SLF001  collected from these layers only
    kernel = weight.flatten(2).sum(2)
    if module.transposed:
        # With a stride each output place meets only some entries of the kernel: on average the sum over the stride.
        kernel = kernel / prod(module.stride)
        return (x.view(module.groups, -1, 1) * kernel.view(module.groups, -1, kernel.shape[1])).sum(1).flatten()
    return (kernel.view(module.groups, -1, kernel.shape[1]) * x.view(module.groups, 1, -1)).sum(2).flatten()
