"""Convolutions: plain, grouped, depthwise, transposed, in one to three spatial dims."""

from __future__ import annotations

from math import prod

from torch import Tensor

from secateur.core.groups import Role
from secateur.graph.labels import State
from secateur.graph.rules.base import Site, length, rule
from secateur.graph.rules.contraction import add_bias


@rule("aten::convolution")
def convolution(site: Site) -> State:
    """Input `(B, C, ..)`, weight `(O, C/g, ..)`, or `(C, O/g, ..)` when transposed; output `(B, O, ..)`."""
    x, w = site.state("input"), site.state("weight")
    assert x is not None and w is not None
    for labels in x.labels[2:]:
        site.pin(labels, "convolves over it as a spatial dim")
    for labels in w.labels[2:]:
        site.pin(labels, "")
    groups, transposed = int(site.literal("groups", 1)), bool(site.literal("transposed", False))
    made = _plain(site, x, w, transposed) if groups == 1 else _grouped(site, x, w, groups, transposed)
    _count(site, w, groups, transposed)
    spatial = len(site.output_shapes[0]) - 2
    state = State(
        (x.labels[0], made, *[None] * spatial), (False, True, *[False] * spatial), static=x.static and w.static
    )
    silent = w.silent[0] if groups > 1 else w.silent[1 if transposed else 0]
    state = State(state.labels, (False, silent, *[False] * spatial), state.static)
    if site.state("bias") is None:
        return state
    flat = State(state.labels[:2], state.silent[:2], state.static)
    flat = add_bias(site, flat, "bias")
    return State(
        (flat.labels[0], flat.labels[1], *[None] * spatial), (False, flat.silent[1], *[False] * spatial), flat.static
    )


def _plain(site: Site, x: State, w: State, transposed: bool) -> Tensor | None:
    consumed, produced = (0, 1) if transposed else (1, 0)
    site.contract(x, 1, w, consumed)
    site.play(w, produced, Role.PRODUCES)
    return w.labels[produced]


def _grouped(site: Site, x: State, w: State, groups: int, transposed: bool) -> Tensor | None:
    """Groups keep their number and all lose the same positions; with one input channel each, groups themselves go."""
    c_in = site.shape("input")[1]
    c_out = site.output_shapes[0][1]
    per_in, per_out = c_in // groups, c_out // groups
    if per_in == 1 and (per_out == 1 or not transposed):
        # Depthwise: output j belongs to input j // per_out, and both go with their group.
        site.play(w, 0, Role.PRODUCES)
        inputs = None if x.labels[1] is None else x.labels[1].repeat_interleave(1 if transposed else per_out)
        return site.join(inputs, w.labels[0])
    if transposed:
        _couple(site, site.join(x.labels[1], w.labels[0]), groups)
        site.play(w, 0, Role.CONSUMES)
        site.play(w, 1, Role.PRODUCES)
        return None if w.labels[1] is None else w.labels[1].repeat(groups)
    _couple(site, x.labels[1], groups)
    _couple(site, w.labels[0], groups)
    first = None if x.labels[1] is None else x.labels[1][:per_in]
    site.join(first, w.labels[1])
    site.play(w, 0, Role.PRODUCES)
    site.play(w, 1, Role.CONSUMES)
    return w.labels[0]


def _couple(site: Site, labels: Tensor | None, groups: int) -> None:
    """Entry k of every group of channels goes together, so that groups stay equally wide."""
    if labels is not None:
        rows = labels.view(groups, -1)
        for row in rows[1:]:
            site.join(row, rows[0])


def _count(site: Site, w: State, groups: int, transposed: bool) -> None:
    shape = site.shape("weight")
    places = site.shape("input")[2:] if transposed else site.output_shapes[0][2:]
    constant = site.shape("input")[0] * prod(places) * prod(shape[2:])
    depthwise = groups > 1 and (w.labels[1] is None or shape[1] == 1)
    dims = (0,) if depthwise else (0, 1)
    pairs = [length(shape, d, w.labels[d]) for d in dims]
    site.book(constant * prod(c for c, _ in pairs), *(v for _, v in pairs), weight=w)
