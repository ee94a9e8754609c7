"""Matrix products: the contracted dims share their units, the outer dims pass on."""

from __future__ import annotations

from math import prod

from torch import Tensor

from secateur.core.groups import Kind, Role
from secateur.graph.labels import State
from secateur.graph.rules.base import Site, length, rule


def product(site: Site, left: str, right: str, bias: str = "") -> State:
    """`left (.., n, k) @ right (.., k, m) [+ bias]`, with equal leading dims; output `(.., n, m)`."""
    a, b = site.state(left), site.state(right)
    assert a is not None and b is not None
    batch = len(a.labels) - 2
    leads = [_lead(site, a, b, d) for d in range(batch)]
    if batch and not (a.static or b.static):  # activations meet in every head
        for labels in leads:
            site.atoms.mark(labels, Kind.HEADS)
        for labels in (*a.labels[batch:], *b.labels[batch:]):
            site.atoms.mark(labels, Kind.HEAD_DIM)
    site.contract(a, batch + 1, b, batch)
    site.play(a, batch, Role.PRODUCES)
    site.play(b, batch + 1, Role.PRODUCES)
    _count(site, left, right, [*leads, a.labels[batch]], a, b)
    state = State(
        (*leads, a.labels[batch], b.labels[batch + 1]),
        (*(a.silent[d] or b.silent[d] for d in range(batch)), a.silent[batch], b.silent[batch + 1]),
        static=a.static and b.static,
    )
    return add_bias(site, state, bias)


def add_bias(site: Site, state: State, bias: str) -> State:
    """`state + bias`, where the bias, if there is one, is aligned to the last dims and may be broadcast."""
    extra = site.state(bias) if bias else None
    if extra is None:
        return state
    labels, silent = list(state.labels), list(state.silent)
    shape, ndim = site.shape(bias), len(state.labels)
    for d in range(ndim):
        own = d - (ndim - len(extra.labels))
        if own >= 0 and shape[own] > 1:
            labels[d] = site.join(labels[d], extra.labels[own])
            site.play(extra, own, Role.SHIFTS)
            silent[d] = silent[d] and extra.silent[own]
        else:
            silent[d] = False
    return State(tuple(labels), tuple(silent), state.static and extra.static)


def _lead(site: Site, a: State, b: State, dim: int) -> Tensor | None:
    """A batch dim: entry i of one side meets entry i of the other, as in an elementwise product."""
    for side in (a, b):
        site.play(side, dim, Role.PRODUCES)
    return site.join(a.labels[dim], b.labels[dim])


def _count(site: Site, left: str, right: str, outer: list[Tensor | None], a: State, b: State) -> None:
    a_shape, b_shape = site.shape(left), site.shape(right)
    pairs = [length(a_shape, d, labels) for d, labels in enumerate(outer)]
    pairs += [length(b_shape, len(b_shape) - 2 + d, b.labels[len(b_shape) - 2 + d]) for d in (0, 1)]
    constant = 1
    for factor, _ in pairs:
        constant *= factor
    site.book(constant, *(labels for _, labels in pairs), weight=b if b.static else a)


@rule("aten::mm", "aten::bmm")
def mm(site: Site) -> State:
    """`self @ mat2`."""
    return product(site, "self", "mat2")


@rule("aten::_grouped_mm")
def grouped_mm(site: Site) -> State:
    """Rows of `self (rows, k)`, sorted by expert, times the matrix of their expert, `mat2 (experts, k, m)`.

    The other forms, which sum over runs of rows, belong to the backward pass. The operator wants rows that begin at
    multiples of 16 bytes, which is eight entries in half precision.
    """
    a, b, offsets, bias = (site.state(name) for name in ("self", "mat2", "offs", "bias"))
    assert a is not None and b is not None
    if len(a.labels) != 2 or len(b.labels) != 3:
        site.pin_all(a, "takes runs of entries by number")
        site.pin_all(b, "takes runs of entries by number")
        return State.free(len(site.output_shapes[0]))
    for state in (offsets, bias):
        if state is not None:
            site.pin_all(state, "is told apart by position")
    site.pin(b.labels[0], "experts are told apart by position")
    site.contract(a, 1, b, 1)
    site.play(a, 0, Role.PRODUCES)
    site.play(b, 2, Role.PRODUCES)
    for labels in (a.labels[1], b.labels[2]):
        site.in_steps(labels, 8, "reads rows that begin at multiples of 16 bytes")
    rows, inner, outer = (
        length(shape, d, state.labels[d])
        for shape, d, state in ((site.shape("self"), 0, a), (site.shape("mat2"), 1, b), (site.shape("mat2"), 2, b))
    )
    constant = rows[0] * inner[0] * outer[0]
    site.book(constant, rows[1], inner[1], outer[1], weight=_layer(a, b))
    return State((a.labels[0], b.labels[2]), (a.silent[0], b.silent[2] and bias is None), a.static and b.static)


@rule("aten::addmm", "aten::_sparse_addmm")
def addmm(site: Site) -> State:
    """`self + mat1 @ mat2`."""
    return product(site, "mat1", "mat2", bias="self")


@rule("aten::baddbmm")
def baddbmm(site: Site) -> State:
    """`self + batch1 @ batch2`."""
    return product(site, "batch1", "batch2", bias="self")


@rule("aten::mv")
def mv(site: Site) -> State:
    """`self (n, k) @ vec (k)`."""
    return _matrix_vector(site, "self")


@rule("aten::addmv")
def addmv(site: Site) -> State:
    """`self + mat (n, k) @ vec (k)`."""
    return add_bias(site, _matrix_vector(site, "mat"), "self")


def _matrix_vector(site: Site, matrix: str) -> State:
    a, b = site.state(matrix), site.state("vec")
    assert a is not None and b is not None
    site.contract(a, 1, b, 0)
    site.play(a, 0, Role.PRODUCES)
    pairs = [length(site.shape(matrix), d, a.labels[d]) for d in (0, 1)]
    site.book(pairs[0][0] * pairs[1][0], *(labels for _, labels in pairs), weight=_layer(a, b))
    return State((a.labels[0],), (a.silent[0],), a.static and b.static)


@rule("aten::dot", "aten::vdot")
def dot(site: Site) -> State:
    """The sum of products of two vectors, in which a parameter consumes; between parameters nobody does."""
    a, b = (site.state_of(ref) for ref in site.call.refs())
    if a.static and b.static:
        labels = site.join(a.labels[0], b.labels[0])
        if not (a.silent[0] or b.silent[0]):
            site.pin(labels, "a dead unit would still count in a sum")
    else:
        labels = a.labels[0]
        site.contract(a, 0, b, 0)
    factor, loop = length(site.call.refs()[0].shape, 0, labels)
    site.book(factor, loop, weight=_layer(a, b))
    return State((), (), a.static and b.static)


@rule("aten::_trilinear")
def trilinear(site: Site) -> State:
    """The product of three tensors, each spread over the dims that it lacks, summed over some (`nn.Bilinear`)."""
    refs = [site.call.bound[name] for name in ("i1", "i2", "i3")]
    states = [site.state_of(ref) for ref in refs]
    lacking = [site.literal(name) for name in ("expand1", "expand2", "expand3")]
    summed = site.literal("sumdim")
    labels: list[Tensor | None] = []
    silent: list[bool] = []
    loops: list[tuple[int, Tensor | None]] = []
    for d in range(len(refs[0].shape) + len(lacking[0])):
        at = [None if d in absent else d - sum(e < d for e in absent) for absent in lacking]
        mine = [(state, own) for state, own in zip(states, at, strict=True) if own is not None]
        joined = mine[0][0].labels[mine[0][1]]
        for state, own in mine[1:]:
            joined = site.join(joined, state.labels[own])
        for state, own in mine:
            site.play(state, own, Role.CONSUMES if d in summed else Role.PRODUCES)
        quiet = any(state.silent[own] for state, own in mine)
        if d not in summed:
            labels.append(joined)
            silent.append(quiet)
        elif not quiet:
            site.pin(joined, "a dead unit would still count in a sum over activations")
        loops += [length(ref.shape, own, joined) for ref, own in zip(refs, at, strict=True) if own is not None][:1]
    static = [s for s in states if s.static]
    layer = static[0] if len(static) == 1 else State.free(0)
    site.book(prod(n for n, _ in loops), *(v for _, v in loops), weight=layer)
    return State(tuple(labels), tuple(silent), len(static) == len(states))


def _layer(a: State, b: State) -> State:
    """The one that is a layer's weight; a product of two parameters is part of computing one, and of no layer."""
    if a.static and b.static:
        return State.free(0)
    return a if a.static else b
