"""New tensors shaped like others: they hold nothing of the other's, but are as long as it is."""

from __future__ import annotations

from secateur.graph.labels import State
from secateur.graph.rules.base import Site, rule


@rule("aten::zeros_like", "aten::ones_like", "aten::full_like", "aten::empty_like")
def like(site: Site) -> State:
    """As long as `self` in every dim, so entries go where those of `self` go."""
    state = site.state("self")
    assert state is not None
    zero = site.call.name == "aten::zeros_like"
    return State(state.labels, (zero,) * len(state.labels), state.static)


@rule("aten::bernoulli", "aten::uniform", "aten::normal")
def noise(site: Site) -> State:
    """Random entries in the place of old ones: as long as `self`, and never known to be zero."""
    state = site.state("self")
    assert state is not None
    return State(state.labels, (False,) * len(state.labels), state.static)


@rule("aten::new_zeros", "aten::new_ones", "aten::new_full", "aten::new_empty", "aten::new_empty_strided")
def new(site: Site) -> State:
    """`self` lends its type only; the sizes are numbers, which no cut is known to change."""
    return State.free(len(site.output_shapes[0]))
