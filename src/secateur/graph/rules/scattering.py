"""Writing at numbered places of one dim, as graph networks and mixtures of experts gather what belongs together."""

from __future__ import annotations

from torch import Tensor

from secateur.graph.labels import State
from secateur.graph.record import Ref
from secateur.graph.rules.base import Site, rule


@rule("aten::index_add", "aten::index_copy")
def by_slices(site: Site) -> State:
    """`index` numbers the slices of `self` along `dim` that those of `source` go to; all other dims meet."""
    index = site.call.bound["index"]
    site.pin_all(site.state_of(index), "holds positions")
    return _meet(site, "source", {int(site.literal("dim")) % max(len(site.shape("self")), 1)})


@rule("aten::scatter", "aten::scatter_add", "aten::scatter_reduce")
def by_entries(site: Site) -> State:
    """`index` says for each entry of `src` where it goes along `dim`; other dims meet where all of them is there."""
    index, shape = site.call.bound["index"], site.shape("self")
    own = site.state_of(index)
    some = {d for d, size in enumerate(index.shape) if size != shape[d]} | {int(site.literal("dim")) % len(shape)}
    state = _meet(site, "src", some)
    labels = list(state.labels)
    for d, held in enumerate(own.labels):
        if d in some:
            site.pin(held, "holds positions")
        elif shape[d] > 1:
            labels[d] = site.join(labels[d], held)
    return State(tuple(labels), state.silent, state.static)


def _meet(site: Site, name: str, named: set[int]) -> State:
    """What `self` is after the values `name` were written into it: pinned along the dims `named`, joined elsewhere."""
    state, ref = site.state("self"), site.call.bound.get(name)
    assert state is not None
    values = site.state_of(ref) if isinstance(ref, Ref) and len(ref.shape) == len(state.labels) else None
    labels: list[Tensor | None] = []
    silent: list[bool] = []
    for d, own in enumerate(state.labels):
        new = None if values is None else values.labels[d]
        if d in named or (isinstance(ref, Ref) and values is None):
            site.pin(own, "names entries by position")
            site.pin(new, "names entries by position")
            labels.append(None)
            silent.append(False)
        else:
            labels.append(own if values is None else site.join(own, new))
            silent.append(values is not None and state.silent[d] and values.silent[d])
    return State(tuple(labels), tuple(silent), state.static and (values is None or values.static))
