"""Complex numbers and Fourier transforms."""

from __future__ import annotations

from secateur.graph.labels import State
from secateur.graph.rules.base import Site, rule


@rule("aten::view_as_complex")
def as_complex(site: Site) -> State:
    """`(.., 2)` to `(..)`: the last dim holds real and imaginary parts."""
    state = site.state("self")
    assert state is not None
    site.pin(state.labels[-1], "holds real and imaginary parts")
    return State(state.labels[:-1], state.silent[:-1], state.static)


@rule("aten::view_as_real")
def as_real(site: Site) -> State:
    """`(..)` to `(.., 2)`."""
    state = site.state("self")
    assert state is not None
    return State((*state.labels, None), (*state.silent, False), state.static)


@rule("aten::_fft_r2c", "aten::_fft_c2c", "aten::_fft_c2r")
def transform(site: Site) -> State:
    """Linear: mixes what lies along `dim`, and lets entries of all other dims go their own way, zeros as zeros."""
    state, dims = site.state("self"), site.literal("dim")
    assert state is not None
    labels, silent = list(state.labels), list(state.silent)
    for d in (dims,) if isinstance(dims, int) else dims:
        site.pin(labels[d], "transforms over it")
        labels[d], silent[d] = None, False
    return State(tuple(labels), tuple(silent), state.static)
