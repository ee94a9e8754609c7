"""Weights that are computed from other parameters before every use, as far as no other rule covers it."""

from __future__ import annotations

from secateur.core.groups import Role
from secateur.graph.labels import State
from secateur.graph.rules.base import Site, rule


@rule("aten::_weight_norm")
def weight_norm(site: Site) -> State:
    """`w = g v / |v|`, the norm over all dims but `dim`, along which g has its only entries (-1: over all, g a number).

    A dead unit along `dim` has g = 0. Its v stays as it is, for zeros have no direction: 0 / 0 is not a number. Along
    other dims zeros add nothing to a norm.
    """
    v, g = site.state("v"), site.state("g")
    assert v is not None and g is not None
    dim = int(site.literal("dim", 0))
    if dim < 0:
        return State(v.labels, v.silent, v.static and g.static)
    labels, silent = list(v.labels), list(v.silent)
    labels[dim], silent[dim] = site.join(g.labels[dim], v.labels[dim]), g.silent[dim]
    own = v.labels[dim]
    if own is not None and v.source:
        site.play(v, dim, Role.DIRECTS)
        site.atoms.bare[v.source] = site.call.name, own
    else:
        site.pin(own, "divides a dead unit by its length, zero")
    return State(tuple(labels), tuple(silent), v.static and g.static)
