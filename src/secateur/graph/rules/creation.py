"""New tensors that hold nothing of any other: as long as one of them, or as long as numbers say."""

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


@rule("aten::zero")
def cleared(site: Site) -> State:
    """The same entries, all zero now."""
    state = site.state("self")
    assert state is not None
    return State(state.labels, (True,) * len(state.labels), state.static)


@rule("aten::bernoulli", "aten::uniform", "aten::normal")
def noise(site: Site) -> State:
    """Random entries in the place of old ones: as long as `self`, and never known to be zero."""
    state = site.state("self")
    assert state is not None
    return State(state.labels, (False,) * len(state.labels), state.static)


@rule(
    "aten::zeros", "aten::ones", "aten::full", "aten::empty", "aten::empty_strided",
    "aten::new_zeros", "aten::new_ones", "aten::new_full", "aten::new_empty", "aten::new_empty_strided",
)  # fmt: skip
def uniform(site: Site) -> State:
    """One number everywhere, so any entries may go: phantom atoms, cut along with what they meet.

    Sizes are plain numbers, which may or may not follow a cut; the trial cut finds out.
    """
    zero = site.call.name.endswith("zeros") or ("full" in site.call.name and not site.literal("fill_value"))
    shape = site.output_shapes[0]
    return State(tuple(site.atoms.new(n) if n > 1 else None for n in shape), (zero,) * len(shape), static=True)
