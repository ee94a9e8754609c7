"""Elementwise operators: aligned entries live and die together."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._pytree import tree_map

from secateur.core.groups import Kind, Role
from secateur.core.rng import generator
from secateur.graph.labels import State
from secateur.graph.record import Ref
from secateur.graph.rules.base import Site, rule

_SHIFTING = ("aten::add", "aten::sub", "aten::rsub")


@rule(
    "aten::copy", "aten::clone", "aten::_to_copy", "aten::lift_fresh", "aten::lift_fresh_copy", "aten::native_dropout",
    "aten::_prelu_kernel", "aten::log_sigmoid_forward", "aten::fill", "aten::hardswish",
    "aten::complex", "aten::polar", "aten::_conj",
)  # fmt: skip
def pointwise(site: Site) -> list[State]:
    """Any elementwise operator with any number of tensors, broadcast as usual.

    Whether dead units stay exactly zero (relu: yes, sigmoid: no, product with anything: yes) is found out by running
    the very operator on zeros, so that no table of functions has to be kept. Where zeros give infinity or NaN (a
    logarithm, a division by a masked parameter), the masked network would not compute, and nothing may be cut.
    """
    shape = site.output_shapes[0]
    refs = site.call.refs()
    states = [site.state_of(r) for r in refs]
    static = bool(states) and all(s.static for s in states)
    labels, silent = [], []
    for d in range(len(shape)):
        meets = [(s, d - len(shape) + len(r.shape)) for s, r in zip(states, refs, strict=True)]
        own = [(s, at) if at >= 0 and r.shape[at] == shape[d] else None for (s, at), r in zip(meets, refs, strict=True)]
        labels.append(_align(site, [x for x in own if x is not None], shape[d]))
        zero = tuple(x is not None and x[0].silent[x[1]] and x[0].labels[x[1]] is not None for x in own)
        made = _made_of_zeros(site, zero) if labels[-1] is not None and any(zero) else "numbers"
        if made == "nothing finite":
            site.pin(labels[-1], "is infinite or NaN for a dead unit")
        silent.append(made == "zeros")
    return [State(tuple(labels), tuple(silent), static) for _ in site.output_shapes]


def _align(site: Site, own: list[tuple[State, int]], size: int) -> Tensor | None:
    """Join the labels of all operands that have this dim in full; broadcast ones have no say."""
    if size <= 1 or not own:
        return None
    alone = all(s.static for s, _ in own)
    role = Role.SHIFTS if site.call.name in _SHIFTING else Role.SCALES
    result = own[0][0].labels[own[0][1]]
    for state, dim in own[1:]:
        result = site.join(result, state.labels[dim])
    if not alone:
        for state, dim in own:
            site.play(state, dim, role)
    if site.call.name == "aten::add" and sum(not state.static for state, _ in own) > 1:
        site.atoms.mark(result, Kind.STREAM)
    return result


def _made_of_zeros(site: Site, zero: tuple[bool, ...]) -> str:
    """What comes out for dead units if the tensors marked in `zero` hold zeros: zeros, numbers, or nothing finite."""
    literals = {k: v for k, v in site.call.bound.items() if not _holds_ref(v)}
    try:
        return _probe(site.call.func, tuple(site.call.bound), zero, _freeze(literals))
    except (RuntimeError, TypeError, ValueError, IndexError):
        return "numbers"  # the operator does not run on plain vectors: claim nothing


@cache
def _probe(func: OpOverload, names: tuple[str, ...], zero: tuple[bool, ...], literals: Any) -> str:
    """Run `func` with zeros for the marked tensors and random draws for the others, some of them positive."""
    rng, thawed = generator(0), dict(literals)
    results = []
    for positive in (False, False, True):
        flags = iter(zero)
        arguments = {n: thawed[n] if n in thawed else _sample(next(flags), rng, positive) for n in names}
        result = func(**arguments)
        results.append(result[0] if isinstance(result, tuple | list) else result)
    if not any(bool((x != 0).any()) for x in results[:2]):
        return "zeros"
    # Roots and powers of negative numbers are not finite for other reasons than zeros.
    broken = all(x.is_floating_point() and not bool(torch.isfinite(x).all()) for x in results[1:])
    return "nothing finite" if broken else "numbers"


def _sample(zero: bool, rng: torch.Generator, positive: bool) -> Tensor:
    drawn = torch.zeros(8, dtype=torch.float64) if zero else torch.randn(8, generator=rng, dtype=torch.float64)
    return drawn.abs() if positive else drawn


def _holds_ref(value: Any) -> bool:
    return isinstance(value, Ref) or (isinstance(value, list | tuple) and any(isinstance(v, Ref) for v in value))


def _freeze(literals: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((k, tree_map(lambda x: x, tuple(v) if isinstance(v, list) else v)) for k, v in literals.items())
