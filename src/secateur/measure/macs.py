"""Multiply-accumulates, counted while the network runs and so independently of the channel graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from secateur.core.copying import copied
from secateur.core.example import Example
from secateur.graph.record import plain_operators

Shape = Sequence[int]


def macs(model: nn.Module, example_inputs: Any) -> int:
    """Multiply-accumulates of one forward pass in eval mode on the example inputs.

    Counted are convolutions and matrix products, as everywhere in the literature; not counted are additions of biases,
    normalisations, activations and pooling. A multiplication together with an addition is one, not two.

    Args:
        model: it is copied, not touched.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments; the whole batch is counted.

    Returns:
        The figure.
    """
    example = Example.of(example_inputs)
    private = copied(model).eval()
    counter = FlopCounterMode(display=False, custom_mapping=UNCOUNTED_BY_TORCH)
    with torch.random.fork_rng(devices=[]), torch.no_grad(), plain_operators(), counter:
        example.call(private)
    return int(counter.get_total_flops()) // 2  # torch counts a multiplication and an addition as two


def _matrix_vector(matrix: Shape, vector: Shape, *_: Any, **__: Any) -> int:
    return 2 * matrix[0] * matrix[1]


def _added_matrix_vector(added: Shape, matrix: Shape, vector: Shape, *_: Any, **__: Any) -> int:
    return _matrix_vector(matrix, vector)


def _dot(a: Shape, b: Shape, *_: Any, **__: Any) -> int:
    return 2 * a[0]


def _lstm(steps: Shape, weight: Shape, hidden: Shape, *_: Any, **__: Any) -> int:
    """One direction of one layer: input `(T, B, inputs)`, weights `(4 * units, inputs)` and `(4 * units, units)`."""
    return 2 * steps[0] * steps[1] * (prod(weight) + prod(hidden))


def _trilinear(*args: Any, **_: Any) -> int:
    """Three tensors, the dims that each lacks, the dims summed over: every entry of the spread product is one."""
    sizes: dict[int, int] = {}
    for shape, lacking in zip(args[:3], args[3:6], strict=True):
        present = [d for d in range(len(shape) + len(lacking)) if d not in lacking]
        sizes |= dict(zip(present, shape, strict=True))
    return 2 * prod(sizes.values())


#: torch counts products of matrices and convolutions only: a linear layer on a single vector, or an LSTM, which is one
#: oneDNN operator on the CPU, would cost nothing.
UNCOUNTED_BY_TORCH: dict[Any, Callable[..., int]] = {
    torch.ops.aten.mv: _matrix_vector,
    torch.ops.aten.addmv: _added_matrix_vector,
    torch.ops.aten.dot: _dot,
    torch.ops.aten.vdot: _dot,
    torch.ops.aten._trilinear: _trilinear,  # noqa: SLF001  what nn.Bilinear calls
    torch.ops.aten.mkldnn_rnn_layer: _lstm,
}
