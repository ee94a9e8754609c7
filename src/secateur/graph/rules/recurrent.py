"""Recurrent layers and cells: gates lie one below the other, and what leaves a step enters the next one.

LSTM: `i f g o = W_ih x + b_ih + W_hh h + b_hh`, `c' = s(f) c + s(i) tanh(g)`, `h' = s(o) tanh(c')`, or `W_hr` times it.
GRU: `r z n` likewise, `h' = (1 - s(z)) n + s(z) h`. Plain: `h' = tanh(..)` or `relu(..)`. A dead unit has zero rows, so
its candidate is `tanh(0) = 0`: it stays zero if it starts at zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from secateur.core.groups import Role
from secateur.graph.labels import State
from secateur.graph.record import Ref
from secateur.graph.rules.base import Site, length, rule
from secateur.graph.rules.movement import couple

#: How many gates a kind has.
_GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


@dataclass(frozen=True, slots=True, eq=False)
class _Weights:
    """The parameters of one direction of one layer; `bias` may be empty, `project` is None without projection."""

    inputs: Ref
    hidden: Ref
    bias: tuple[Ref, ...]
    project: Ref | None


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """One dim: its labels, and whether dead entries are zero."""

    labels: Tensor | None
    silent: bool


@rule("aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu")
def layers(site: Site) -> list[State]:
    """All layers and directions over a sequence, `(T, B, inputs)`, `(B, T, inputs)` or packed `(entries, inputs)`.

    Further arguments: the initial states `(layers * directions, B, units)` and the parameters of all layers.
    Outputs: the sequence, and the last states.
    """
    packed = "data" in site.call.bound
    x = site.state("data" if packed else "input")
    assert x is not None
    starts = [site.state_of(ref) for ref in _list(site.call.bound["hx"])]
    time, batch = (0, None) if packed else (1, 0) if site.literal("batch_first", False) else (0, 1)
    site.pin(x.labels[time], "runs along it")
    samples = None if batch is None else x.labels[batch]
    for state in starts:
        site.pin(state.labels[0], "holds one state for each layer")
        samples = site.join(samples, state.labels[1])
    steps = site.shape("data")[0] if packed else site.shape("input")[0] * site.shape("input")[1]
    hidden, *cell = (_Line(s.labels[2], s.silent[2]) for s in starts)
    line = _Line(x.labels[-1], x.silent[-1])
    directions = 2 if site.literal("bidirectional", False) else 1
    weights = _weights(site)
    last: list[list[_Line]] = []
    for layer in range(int(site.literal("num_layers"))):
        made = [
            _step(site, line, hidden, cell, w, steps) for w in weights[layer * directions : (layer + 1) * directions]
        ]
        last += made
        line = _beside([m[0] for m in made])
    middle = [None] if packed else [None, samples] if batch == 1 else [samples, None]
    states = [State((*middle, line.labels), (*[False] * len(middle), line.silent))]
    for each in zip(*last, strict=True):
        # All layers share one tensor of initial states, so their units are joined and any of them speaks for all.
        states.append(State((None, samples, each[0].labels), (False, False, all(m.silent for m in each))))
    return states


@rule("aten::lstm_cell", "aten::gru_cell", "aten::rnn_tanh_cell", "aten::rnn_relu_cell")
def cell(site: Site) -> list[State]:
    """One step: input `(B, inputs)`, states and outputs `(B, units)`."""
    x = site.state("input")
    assert x is not None
    starts = [site.state_of(ref) for ref in _list(site.call.bound["hx"])]
    samples = x.labels[0]
    for state in starts:
        samples = site.join(samples, state.labels[0])
    hidden, *cells = (_Line(s.labels[1], s.silent[1]) for s in starts)
    bound = site.call.bound
    bias = tuple(bound[name] for name in ("b_ih", "b_hh") if isinstance(bound.get(name), Ref))
    weights = _Weights(bound["w_ih"], bound["w_hh"], bias, None)
    made = _step(site, _Line(x.labels[1], x.silent[1]), hidden, cells, weights, site.shape("input")[0])
    return [State((samples, line.labels), (False, line.silent)) for line in made]


def _step(site: Site, x: _Line, hidden: _Line, cell: list[_Line], weights: _Weights, steps: int) -> list[_Line]:
    """What one direction of one layer makes of its input: its output and, for an LSTM, its cells."""
    w_in, w_hidden = site.state_of(weights.inputs), site.state_of(weights.hidden)
    gates = _GATES[site.call.name.removeprefix("aten::").removesuffix("_cell")]
    rows, silent = w_in.labels[0], w_in.silent[0] and w_hidden.silent[0]
    rows = site.join(rows, w_hidden.labels[0])
    for ref in weights.bias:
        bias = site.state_of(ref)
        rows = site.join(rows, bias.labels[0])
        site.play(bias, 0, Role.SHIFTS)
        silent = silent and bias.silent[0]
    for state in (w_in, w_hidden):
        site.play(state, 0, Role.PRODUCES)
    couple(site, rows, gates)
    units = None if rows is None else rows[: len(rows) // gates]
    site.contract(_state(x), 0, w_in, 1)
    carried = [*cell, hidden] if gates == 3 else cell  # what is added to itself from step to step
    inner = _Line(units, silent and all(line.silent for line in carried))
    for line in cell:
        site.join(units, line.labels)
    out = inner
    if weights.project is not None:
        w_out = site.state_of(weights.project)
        # torch tells a layer with a projection from one without by the two widths being different.
        site.at_least(units, weights.project.shape[0] + 1, "needs more cells than the projection has outputs")
        site.contract(_state(inner), 0, w_out, 1)
        site.play(w_out, 0, Role.PRODUCES)
        out = _Line(w_out.labels[0], w_out.silent[0])
    site.join(out.labels, hidden.labels)
    site.contract(_state(_Line(out.labels, out.silent and hidden.silent)), 0, w_hidden, 1)
    _count(site, weights, steps)
    return [out, inner] if cell else [out]


def _count(site: Site, weights: _Weights, steps: int) -> None:
    for ref in (weights.inputs, weights.hidden, weights.project):
        if ref is not None:
            state = site.state_of(ref)
            (rows, along), (columns, across) = (length(ref.shape, d, state.labels[d]) for d in (0, 1))
            site.book(steps * rows * columns, along, across, weight=state)


def _weights(site: Site) -> list[_Weights]:
    """The flat list of parameters, taken apart: input and hidden weight, two biases or none, a projection or none."""
    params: list[Ref] = list(site.call.bound["params"])
    biases = 2 if site.literal("has_biases") else 0
    starts = _list(site.call.bound["hx"])
    projected = len(starts) == 2 and starts[0].shape[2] != starts[1].shape[2]
    size = 2 + biases + projected
    each = [params[at : at + size] for at in range(0, len(params), size)]
    return [_Weights(p[0], p[1], tuple(p[2 : 2 + biases]), p[-1] if projected else None) for p in each]


def _beside(lines: list[_Line]) -> _Line:
    """Two directions, laid side by side."""
    found = [line.labels for line in lines if line.labels is not None]
    whole = torch.cat(found) if len(found) == len(lines) else None
    return _Line(whole, all(line.silent for line in lines))


def _state(line: _Line) -> State:
    return State((line.labels,), (line.silent,))


def _list(value: Any) -> list[Ref]:
    return [value] if isinstance(value, Ref) else list(value)


@rule("aten::_pack_padded_sequence")
def pack(site: Site) -> list[State]:
    """`(T, B, ..)` or `(B, T, ..)` to `(entries, ..)` without padding, and the batch size at each step."""
    x = site.state("input")
    assert x is not None
    for labels in x.labels[:2]:
        site.pin(labels, "packs it by length")
    return [State((None, *x.labels[2:]), (False, *x.silent[2:])), State.free(1)]


@rule("aten::_pad_packed_sequence")
def unpack(site: Site) -> list[State]:
    """`(entries, ..)` to `(T, B, ..)` or `(B, T, ..)`, and the lengths; only padding with zeros is silent."""
    x = site.state("data")
    assert x is not None
    site.pin(x.labels[0], "packs it by length")
    zero = not site.literal("padding_value", 0)
    silent = (False, False, *(s and zero for s in x.silent[1:]))
    return [State((None, None, *x.labels[1:]), silent), State.free(1)]
