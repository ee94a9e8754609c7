"""Reductions, softmax and their kin work along some dims, which may not be cut; the others pass through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from secateur.graph.labels import State
from secateur.graph.rules.base import Site, rule
from secateur.graph.rules.pointwise import pointwise


def along(site: Site, dims: Any, zero: bool) -> list[State]:
    """Pin `dims`; pass on the others in order, whether `dims` vanish from the outputs or stay.

    Args:
        site: the call; its tensor is called `self`.
        dims: an int, a list of ints, or None or [] for all.
        zero: whether zeros come out where all entries are zero.
    """
    state = site.state("self")
    assert state is not None
    ndim = len(state.labels)
    named = range(ndim) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    reduced = {d % ndim for d in _ints(named)} if ndim else set()
    for d in reduced:
        site.pin(state.labels[d], "computes over it")
    states = []
    for shape in site.output_shapes:
        stays = len(shape) == ndim
        kept = [d for d in range(ndim) if stays or d not in reduced]
        labels = tuple(None if d in reduced else state.labels[d] for d in kept)
        silent = tuple(zero and d not in reduced and state.silent[d] for d in kept)
        states.append(State(labels, silent, state.static))
    return states


def _ints(dims: Iterable[Any]) -> list[int]:
    return [int(d) for d in dims]


@rule(
    "aten::mean", "aten::sum", "aten::amax", "aten::amin", "aten::max", "aten::min", "aten::prod", "aten::cumsum",
    "aten::linalg_vector_norm", "aten::norm", "aten::std", "aten::var", "aten::var_mean",
    "aten::argmax", "aten::argmin",
)  # fmt: skip
def reduction(site: Site) -> Sequence[State] | State:
    """Reductions that give zero for zeros."""
    if site.call.name in ("aten::max", "aten::min") and "other" in site.call.bound:
        return pointwise(site)  # the same name for the larger of two tensors
    return along(site, site.literal("dim"), zero=True)


@rule("aten::_softmax", "aten::_safe_softmax", "aten::_log_softmax", "aten::logsumexp", "aten::sort", "aten::topk")
def ranking(site: Site) -> list[State]:
    """Operators along one dim whose result for zeros is not zero."""
    return along(site, site.literal("dim", -1), zero=False)


@rule("aten::any", "aten::all")
def logic(site: Site) -> list[State]:
    """Reductions to truth values; claim nothing about zeros."""
    return along(site, site.literal("dim"), zero=False)
