"""Data movement needs no arithmetic of axes: run the very same operator on the labels and read them off again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from secateur.graph.attention import carrier
from secateur.graph.labels import State, separate
from secateur.graph.record import Ref
from secateur.graph.rules.base import Site, rule


def move(site: Site, name: str = "self", **instead: Any) -> list[State]:
    """States of all outputs of a call that only moves the entries of tensor `name` about.

    Args:
        site: the call.
        name: the argument whose entries are moved.
        instead: arguments to use instead of the recorded ones when the operator runs on labels.
    """
    state = site.state(name)
    assert state is not None
    labels: list[list[Tensor | None]] = [[None] * len(s) for s in site.output_shapes]
    silent = [[False] * len(s) for s in site.output_shapes]
    for dim, vector in enumerate(state.labels):
        if vector is None:
            continue
        for out, moved in enumerate(_run(site, name, vector, dim, instead)):
            found = separate(site.atoms, moved, site.where, carrier(site.module, moved.shape, heads=site.atoms.heads))
            if found is None:
                continue
            at, new = found
            old = labels[out][at]
            if old is not None:
                # An entry can follow one dim only: the longer one (a filter's inputs, not the sides of its kernel).
                kept, lost = (old, new) if len(old.unique()) >= len(new.unique()) else (new, old)
                site.pin(lost, "is merged with another dim that may be cut")
                labels[out][at] = kept
                silent[out][at] = silent[out][at] if kept is old else state.silent[dim]
                continue
            labels[out][at], silent[out][at] = new, state.silent[dim]
    return [State(tuple(a), tuple(s), state.static, state.source) for a, s in zip(labels, silent, strict=True)]


def _run(site: Site, name: str, vector: Tensor, dim: int, instead: Mapping[str, Any]) -> list[Tensor]:
    shape = site.shape(name)
    spread = vector.view([-1 if d == dim else 1 for d in range(len(shape))]).expand(shape)
    if site.call.name in ("aten::view", "aten::_unsafe_view", "aten::reshape"):
        return [spread.reshape(site.output_shapes[0])]  # labels are spread without copies, which view would refuse
    arguments: dict[str, Any] = {**site.call.bound, **instead, name: spread}
    return [x for x in tree_leaves(site.call.func(**arguments)) if isinstance(x, Tensor)]


@rule(
    "aten::view", "aten::_unsafe_view", "aten::reshape", "aten::permute", "aten::transpose", "aten::t",
    "aten::unsqueeze", "aten::alias", "aten::detach", "aten::pixel_shuffle", "aten::pixel_unshuffle", "aten::flip",
    "aten::movedim",
)  # fmt: skip
def whole(site: Site) -> list[State]:
    """Operators whose literal arguments name dims and sizes, never single entries."""
    return move(site)


@rule("aten::squeeze")
def squeeze(site: Site) -> list[State]:
    """Drops dims of one entry: dims that have more must not come down to one, or they would be dropped, too."""
    state = site.state("self")
    assert state is not None
    named = site.literal("dim", range(len(state.labels)))
    for d in (named,) if isinstance(named, int) else named:
        site.at_least(state.labels[d], 2, "drops a dim of one entry")
    return move(site)


@rule("aten::channel_shuffle", "aten::native_channel_shuffle")
def shuffle(site: Site) -> list[State]:
    """Groups of channels are interleaved; their number is fixed, so entry k of every group goes together."""
    state = site.state("self")
    assert state is not None
    couple(site, state.labels[1], int(site.literal("groups")))
    return move(site)


@rule("aten::as_strided")
def restride(site: Site) -> list[State]:
    """The recorder looks whether entries come to lie elsewhere; layouts of singleton dims alone do not matter."""
    state = site.state("self")
    assert state is not None
    if not site.literal("moves", True):
        return [state]
    site.pin_all(state, "names entries by their place in memory")
    return [State.free(len(shape)) for shape in site.output_shapes]


@rule("aten::tril", "aten::triu")
def triangle(site: Site) -> State:
    """Zeros on one side of the diagonal of the last two dims, where entries are told by position."""
    state = site.state("self")
    assert state is not None
    for labels in state.labels[-2:]:
        site.pin(labels, "names entries by position")
    return State((*state.labels[:-2], None, None), (*state.silent[:-2], False, False), state.static)


@rule("aten::expand", "aten::repeat")
def copies(site: Site) -> list[State]:
    """Copies of a single entry are as many as whatever they meet: they get labels of their own, owned by no tensor."""
    (state,), before, (after,) = move(site), site.shape("self"), site.output_shapes
    labels = list(state.labels)
    for d, size in enumerate(after):
        own = d - (len(after) - len(before))
        if size > 1 and (own < 0 or before[own] == 1):
            labels[d] = site.atoms.new(size)
    return [State(tuple(labels), state.silent, state.static, state.source)]


@rule("aten::constant_pad_nd")
def pad(site: Site) -> State:
    """New entries belong to nobody and stay; other dims do not change. Cropping names entries by position."""
    state = site.state("self")
    assert state is not None
    amounts = [int(n) for n in site.literal("pad")]  # (before, after) of the last dim, then of the one before it, …
    zero = not site.literal("value", 0)
    labels, silent = list(state.labels), list(state.silent)
    for number in range(len(amounts) // 2):
        dim = len(labels) - 1 - number
        before, after = amounts[2 * number : 2 * number + 2]
        vector = labels[dim]
        if min(before, after) < 0:
            site.pin(vector, "names entries by position")
            labels[dim] = None
        elif vector is not None:
            labels[dim] = torch.cat([vector.new_zeros(before), vector, vector.new_zeros(after)])
    padded = {len(labels) - 1 - n for n in range(len(amounts) // 2) if any(amounts[2 * n : 2 * n + 2])}
    kept_silent = [s and (zero or padded <= {d}) for d, s in enumerate(silent)]
    return State(tuple(labels), tuple(kept_silent), state.static)


@rule(
    "aten::reflection_pad1d", "aten::reflection_pad2d", "aten::reflection_pad3d",
    "aten::replication_pad1d", "aten::replication_pad2d", "aten::replication_pad3d",
)  # fmt: skip
def edge_pad(site: Site) -> list[State]:
    """Copies entries over the border: the padded dims are spatial."""
    return _literal(site, range(-len(site.literal("padding")) // 2, 0))


@rule("aten::slice")
def slice_(site: Site) -> list[State]:
    """Some entries in a row; or every n-th one, as rotary embeddings take.

    A slice that looks like one of several equal chunks couples the chunks, so that they stay equal.
    """
    state, dim = site.state("self"), int(site.literal("dim", 0))
    assert state is not None
    size, out, step = site.shape("self")[dim], site.output_shapes[0][dim], int(site.literal("step", 1))
    labels = state.labels[dim]
    if labels is None or out == size:
        return move(site)
    start = min(int(site.literal("start", 0)), size)
    start = max(start + size, 0) if start < 0 else start
    if step > 1:
        if size % step or start >= step or out * step != size:
            return _literal(site, (dim,))
        couple(site, labels.view(-1, step).t().reshape(-1), step)
        return move(site)
    if out and size % out == 0 and start % out == 0:
        couple(site, labels, size // out)
    else:
        site.pieces += [labels[:start], labels[start : start + out], labels[start + out :]]
    site.follow("start", dim, labels[:start])
    return move(site)


@rule("aten::split", "aten::split_with_sizes", "aten::chunk", "aten::unsafe_split", "aten::unsafe_split_with_sizes")
def split(site: Site) -> list[State]:
    """Equal pieces lose the same positions, so that they stay equal; of unequal ones the sizes must follow."""
    state, dim = site.state("self"), int(site.literal("dim", 0))
    assert state is not None
    labels, sizes = state.labels[dim], [s[dim] for s in site.output_shapes]
    if labels is None or len(set(sizes)) == 1:
        couple(site, labels, len(sizes))
    else:
        site.pieces += labels.split(sizes)
    return move(site)


def couple(site: Site, labels: Tensor | None, pieces: int) -> None:
    """Entry k of every piece goes together."""
    if labels is not None:
        rows = labels.view(pieces, -1)
        for row in rows[1:]:
            site.join(row, rows[0])


@rule("aten::select", "aten::unbind", "aten::roll", "aten::narrow", "aten::unfold")
def by_position(site: Site) -> list[State]:
    """Entries are named by position along `dim` (or `dims`), which a cut would shift: that dim may not be cut."""
    dims = site.literal("dim", site.literal("dims", site.literal("dimension", 0)))
    return _literal(site, dims if isinstance(dims, list | tuple) else (dims,))


@rule("aten::rot90")
def rotate(site: Site) -> list[State]:
    """A quarter turn in the plane of two dims."""
    return _literal(site, site.literal("dims", (0, 1)))


@rule("aten::index")
def index(site: Site) -> list[State]:
    """Advanced indexing names entries of the indexed dims by number; the other dims move along."""
    indices = site.literal("indices")
    for ref in indices:
        if ref is not None:
            site.pin_all(site.state_of(ref), "holds positions")
    moved = torch.empty(site.shape("self"), device="meta")[
        tuple(slice(None) if i is None else _zeros(i, "meta") for i in indices)
    ]
    state = site.state("self")
    assert state is not None
    if moved.ndim != len(site.output_shapes[0]):  # a truth value for each entry takes several dims at once
        site.pin_all(state, "picks entries by a mask")
        return [State.free(len(shape)) for shape in site.output_shapes]
    return _literal(site, [d for d, i in enumerate(indices) if i is not None], real=True)


@rule("aten::index_put")
def index_put(site: Site) -> State:
    """Writes `values` at numbered entries of one dim (or true ones); along all other dims they meet what was there."""
    state, values = site.state("self"), site.state("values")
    assert state is not None and values is not None
    indexed = [(d, ref) for d, ref in enumerate(site.literal("indices")) if ref is not None]
    for _, ref in indexed:
        site.pin_all(site.state_of(ref), "holds positions")
    shape, given = site.shape("self"), site.shape("values")
    if len(indexed) != 1 or len(indexed[0][1].shape) != 1:
        site.pin_all(state, "names entries by position")
        site.pin_all(values, "names entries by position")
        return State.free(len(shape))
    labels, silent, dim = list(state.labels), list(state.silent), indexed[0][0]
    for d in range(len(shape)):
        own = d - (len(shape) - len(given))
        new = values.labels[own] if own >= 0 and given[own] > 1 else None
        if d == dim:
            site.pin(labels[d], "names entries by position")
            site.pin(new, "names entries by position")
            labels[d] = None
        elif own >= 0 and given[own] == shape[d]:
            labels[d] = site.join(labels[d], new)
            silent[d] = silent[d] and values.silent[own]
        else:
            silent[d] = False
    return State(tuple(labels), tuple(silent), state.static and values.static)


@rule("aten::index_select")
def by_index(site: Site) -> list[State]:
    """Positions along one dim are read from a tensor."""
    ref, dim = site.call.bound["index"], int(site.literal("dim"))
    site.pin_all(site.state_of(ref), "holds positions")
    return _literal(site, (dim,), index=_zeros(ref))


@rule("aten::gather")
def gather(site: Site) -> list[State]:
    """Positions along one dim for every entry of the others, of which the first are taken if not all are there."""
    ref, shape, state = site.call.bound["index"], site.shape("self"), site.state("self")
    assert state is not None
    dim, index = int(site.literal("dim")) % len(shape), site.state_of(ref)
    some = {d for d, size in enumerate(ref.shape) if size != shape[d]} | {dim}
    for d, labels in enumerate(index.labels):
        if d in some:
            site.pin(labels, "holds positions")
        elif shape[d] > 1:
            site.join(labels, state.labels[d])
    return _literal(site, some, index=_zeros(ref))


def _zeros(ref: Ref, device: str = "cpu") -> Tensor:
    return torch.zeros(ref.shape, dtype=torch.long, device=device)


def _literal(site: Site, dims: Any, real: bool = False, **instead: Any) -> list[State]:
    """Pin `dims`, then move the rest."""
    state = site.state("self")
    assert state is not None
    labels = list(state.labels)
    for d in dims:
        site.pin(labels[d], "names entries by position")
        labels[d] = None
    key = site.call.bound["self"].key
    site.states[key], kept = State(tuple(labels), state.silent, state.static, state.source), state
    try:
        if real and any(v is not None for v in labels):
            return _index_rest(site, labels)
        return move(site, **instead)
    finally:
        site.states[key] = kept


def _index_rest(site: Site, labels: list[Tensor | None]) -> list[State]:
    """Move the unindexed dims of an advanced-indexing call; index values do not matter, only their shapes."""
    shape = site.shape("self")
    indices = [None if i is None else _zeros(i) for i in site.literal("indices")]
    out: list[Tensor | None] = [None] * len(site.output_shapes[0])
    for dim, vector in enumerate(labels):
        if vector is not None:
            spread = vector.view([-1 if d == dim else 1 for d in range(len(shape))]).expand(shape)
            found = separate(site.atoms, torch.ops.aten.index(spread, indices), site.where)
            if found is not None:
                out[found[0]] = found[1]
    state = site.state("self")
    assert state is not None
    return [State(tuple(out), tuple(v is not None and all(state.silent) for v in out), state.static)]


@rule("aten::glu")
def glu(site: Site) -> list[State]:
    """Gated linear unit: the first half times the sigmoid of the second; entry k of both halves goes together."""
    state = site.state("self")
    assert state is not None
    dim = int(site.literal("dim", -1)) % len(state.labels)
    couple(site, state.labels[dim], 2)
    half = site.output_shapes[0][dim]
    labels = tuple(v[:half] if d == dim and v is not None else v for d, v in enumerate(state.labels))
    return [State(labels, state.silent, state.static)]
