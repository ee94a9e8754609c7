"""Reductions, softmax and their kin compute along some dims; the others pass through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from secateur.graph.labels import State
from secateur.graph.rules.base import Site, rule
from secateur.graph.rules.pointwise import pointwise


def along(site: Site, dims: Any, *, zero: bool, functions: tuple[str, ...] = (), neutral: bool = False) -> list[State]:
    """Compute over `dims`; pass on the others in order, whether `dims` vanish from the outputs or stay.

    Args:
        site: the call; its tensor is called `self`.
        dims: an int, a list of ints, or None or [] for all.
        zero: whether zeros come out where all entries are zero.
        functions: functions of torch that make this operator and have a twin that leaves dead entries out.
        neutral: whether an entry that is zero has no say in the result, so that silent units need no twin.
    """
    state = site.state("self")
    assert state is not None
    ndim = len(state.labels)
    named = range(ndim) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    reduced = {d % ndim for d in _ints(named)} if ndim else set()
    alive = {d: _over(site, state, d, functions, neutral) for d in sorted(reduced)}
    states = []
    for shape in site.output_shapes:
        stays = len(shape) == ndim
        kept = [d for d in range(ndim) if stays or d not in reduced]
        # A softmax keeps the dim and gives dead entries no share; a reduction leaves one entry, which is nobody's.
        own = {d for d in kept if d not in reduced or (alive[d] and stays and shape[d] > 1)}
        labels = tuple(state.labels[d] if d in own else None for d in kept)
        silent = tuple(d in own and (d in reduced or (zero and state.silent[d])) for d in kept)
        states.append(State(labels, silent, state.static))
    return states


def _over(site: Site, state: State, dim: int, functions: tuple[str, ...], neutral: bool) -> bool:
    """Whether units along a dim may be cut although the call computes over it; pins them where not."""
    made_by = site.call.function
    if neutral and state.silent[dim] and (made_by is None or made_by[0] not in functions):
        return state.labels[dim] is not None
    return site.live(state.labels[dim], dim, site.shape("self")[dim], functions, "computes over it")


def _ints(dims: Iterable[Any]) -> list[int]:
    return [int(d) for d in dims]


_TOTALS = ("sum", "norm", "linalg_vector_norm", "normalize")


@rule("aten::sum", "aten::linalg_vector_norm", "aten::norm")
def total(site: Site) -> list[State]:
    """Reductions in which zeros have no say, but for norms of order 0 and below."""
    order = site.literal("ord", site.literal("p", 2))
    return along(site, site.literal("dim"), zero=True, functions=_TOTALS, neutral=order > 0)


@rule("aten::mean", "aten::var", "aten::std", "aten::var_mean", "aten::std_mean", "aten::amax", "aten::amin")
def statistic(site: Site) -> list[State]:
    """Reductions that give zero for zeros, and ask how many entries there are, or whether one of them is zero."""
    name = site.call.name.removeprefix("aten::")
    functions = ("mean", "rms_norm") if name == "mean" else (name,)
    if name in ("var", "std", "var_mean", "std_mean"):
        _needs_several(site)
    return along(site, site.literal("dim"), zero=True, functions=functions)


def _needs_several(site: Site) -> None:
    """A variance over one dim divides by one entry less than there are, or by as many less as it is told."""
    state, dims = site.state("self"), site.literal("dim")
    less = site.literal("correction", int(bool(site.literal("unbiased", True))))
    if state is not None and isinstance(dims, list) and len(dims) == 1 and less > 0:
        site.at_least(state.labels[dims[0]], int(less) + 1, "takes a spread over it")


@rule("aten::max", "aten::min")
def extreme(site: Site) -> Sequence[State] | State:
    """The largest or smallest along a dim, or the same name for the larger of two tensors."""
    if "other" in site.call.bound:
        return pointwise(site)
    functions = (site.call.name.removeprefix("aten::"),) if site.literal("dim") is not None else ()
    return along(site, site.literal("dim"), zero=True, functions=functions)


@rule("aten::_softmax", "aten::_log_softmax")
def share(site: Site) -> list[State]:
    """Every entry gets a share of one; dead ones must get none."""
    function = "softmax" if site.call.name == "aten::_softmax" else "log_softmax"
    return along(site, site.literal("dim", -1), zero=False, functions=(function,))


@rule("aten::prod", "aten::cumsum", "aten::argmax", "aten::argmin")
def other(site: Site) -> list[State]:
    """Reductions that give zero for zeros and have no twin."""
    return along(site, site.literal("dim"), zero=True)


@rule("aten::_safe_softmax", "aten::logsumexp", "aten::sort", "aten::topk", "aten::any", "aten::all")
def ranking(site: Site) -> list[State]:
    """Operators along one dim (truth values: along all, if none is named) of which nothing is known for zeros."""
    every = site.call.name in ("aten::any", "aten::all")
    return along(site, site.literal("dim", None if every else -1), zero=False)
