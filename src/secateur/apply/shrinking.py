"""`shrink`: physically smaller tensors, the network that ships."""

from __future__ import annotations

from torch import nn

from secateur.apply.masking import is_masked, unmask_
from secateur.apply.verify import verify as verify_plan
from secateur.core.copying import copied
from secateur.core.plan import PruningPlan
from secateur.graph.cut import cut_, cut_copy


def shrink(model: nn.Module, plan: PruningPlan, *, verify: bool = True) -> nn.Module:
    """A smaller copy of `model` that computes what `mask(model, plan)` computes.

    Plans of channels cut tensors, plans of residual blocks put `torch.nn.Identity()` in their place. Plans of single
    weights bake zeros in, since no dense tensor can be smaller.

    Args:
        model: a network of the traced structure, dense or masked (by the same plan); it is not touched.
        plan: what stays.
        verify: check masked = shrunk on random weights and inputs (`verify`) before anything is handed over.

    Returns:
        A copy of the same class and, but for what was taken out, attribute paths; without masks, hooks or
        parametrisations of ours.

    Raises:
        IncompatibleError: the plan was made for another structure.
        VerificationError: masked and shrunk networks would differ.
    """
    if plan.is_structured and not is_masked(model):
        plan.check_fits(model)
        if verify:
            verify_plan(model, plan)
        return cut_copy(model, plan.graph, plan.channels, plan.removed)
    small = copied(model)
    if is_masked(small):
        unmask_(small)
    plan.check_fits(small)
    if plan.is_structured and verify:
        verify_plan(small, plan)
    return shrink_(small, plan)


def shrink_(model: nn.Module, plan: PruningPlan) -> nn.Module:
    """Cut `model` in place, unverified, and return it: for saved networks, and callers who have verified the plan."""
    if is_masked(model):
        unmask_(model)
    plan.check_fits(model)
    if plan.is_structured:
        cut_(model, plan.graph, plan.channels, plan.removed)
        return model
    parameters = dict(model.named_parameters())
    for name, keep in plan.masks().items():
        parameters[name].data.mul_(keep.to(parameters[name]))
    return model
