"""Concatenation and stacking: pieces lie side by side, each with its own units."""

from __future__ import annotations

import torch
from torch import Tensor

from secateur.graph.labels import State
from secateur.graph.rules.base import Site, rule


@rule("aten::cat")
def cat(site: Site) -> State:
    """Labels along the joined dim are laid end to end; along all other dims the pieces meet elementwise."""
    refs = [r for r in site.call.bound["tensors"] if r.shape != (0,)]
    states = [site.state_of(r) for r in refs]
    ndim = len(site.output_shapes[0])
    dim = int(site.literal("dim", 0)) % ndim
    labels, silent = _meet(site, states, ndim, skip=dim)
    pieces = [s.labels[dim] for s in states]
    if any(p is not None for p in pieces):
        filled = [
            torch.zeros(r.shape[dim], dtype=torch.long) if p is None else p for p, r in zip(pieces, refs, strict=True)
        ]
        labels[dim] = torch.cat(filled)
        silent[dim] = all(s.silent[dim] or s.labels[dim] is None for s in states)
    return State(tuple(labels), tuple(silent), all(s.static for s in states))


@rule("aten::stack")
def stack(site: Site) -> State:
    """A new dim, which nobody may cut; along all other dims the pieces meet elementwise."""
    states = [site.state_of(r) for r in site.call.bound["tensors"]]
    ndim = len(site.output_shapes[0])
    dim = int(site.literal("dim", 0)) % ndim
    labels, silent = _meet(site, states, ndim - 1, skip=-1)
    labels.insert(dim, None)
    silent.insert(dim, False)
    return State(tuple(labels), tuple(silent), all(s.static for s in states))


def _meet(site: Site, states: list[State], ndim: int, skip: int) -> tuple[list[Tensor | None], list[bool]]:
    labels: list[Tensor | None] = [None] * ndim
    silent = [False] * ndim
    for d in range(ndim):
        if d == skip:
            continue
        labels[d] = states[0].labels[d]
        for other in states[1:]:
            labels[d] = site.join(labels[d], other.labels[d])
        silent[d] = all(s.silent[d] for s in states)
    return labels, silent
