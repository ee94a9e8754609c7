"""`rebuild`: a network and a compact block in, a network of compact blocks out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from secateur.apply.replacing import Layer, check_runs, layers_of, replaced
from secateur.compact.base import COMPACTS
from secateur.core.contracts import CompactBlock
from secateur.core.errors import UnsupportedError
from secateur.core.example import Example
from secateur.core.rng import generator
from secateur.measure.macs import macs
from secateur.measure.params import parameters


@dataclass(frozen=True, slots=True)
class Rebuild:
    """What became of one layer.

    Attributes:
        error: `||block(x) - layer(x)||^2 / ||layer(x)||^2` without biases, on one input of positive noise.
        macs: multiply-accumulates before and after.
        params: parameters before and after.
    """

    error: float
    macs: tuple[int, int]
    params: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Rebuilt:
    """What `rebuild` returns.

    Attributes:
        model: a copy of the network with blocks in it, to be fine-tuned or distilled.
        layers: the convolutions that were replaced, by name.
        whole: why the others were not.
        macs: multiply-accumulates of the network before and after.
        params: its parameters before and after.
    """

    model: nn.Module
    layers: Mapping[str, Rebuild]
    whole: Mapping[str, str]
    macs: tuple[int, int]
    params: tuple[int, int]

    def __str__(self) -> str:
        """One line per layer, and one for the network."""
        lines = [
            f"{name}: error {r.error:.3f}, MACs {r.macs[0]:,} -> {r.macs[1]:,}, params {r.params[0]:,} -> "
            f"{r.params[1]:,}"
            for name, r in self.layers.items()
        ]
        lines += [f"{name}: whole, {reason}" for name, reason in self.whole.items()]
        lines.append(
            f"network: MACs {self.macs[0]:,} -> {self.macs[1]:,}, params {self.params[0]:,} -> {self.params[1]:,}"
        )
        return "\n".join(lines)


def rebuild(
    model: nn.Module,
    compact: str | CompactBlock,
    *,
    example_inputs: Any,
    only: Sequence[str] = ("*",),
    frozen: Sequence[str] = (),
) -> Rebuilt:
    """Replace convolutions by compact blocks that start as near to them as their form allows, on a copy.

    Layers for which no multiply-accumulates are saved stay whole. What comes out needs training, best beside the
    network that it came from: `secateur.distill.taught`.

    Args:
        model: a trained network; it is left as it was.
        compact: a name from `secateur list compacts`, or a block with settings of your own.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments.
        only: patterns of the modules that may be replaced.
        frozen: patterns of modules that stay.

    Returns:
        The network, and what became of each convolution.

    Raises:
        UnknownNameError: no such block, no such layer.
        UnsupportedError: no convolution can be replaced, or the network does not run with blocks in it.

    Example:
        >>> from secateur.bench.zoo.resnet import resnet20
        >>> found = rebuild(resnet20(), "depthwise_separable", example_inputs=torch.zeros(1, 3, 32, 32))
        >>> found.macs[1] < 0.25 * found.macs[0]
        True
    """
    one = COMPACTS[compact]() if isinstance(compact, str) else compact
    example = Example.of(example_inputs)
    layers, whole = layers_of(model, example, only=only, frozen=frozen)
    whole |= {name: reason for name, layer in layers.items() if (reason := _reason(one, layer))}
    layers = {name: layer for name, layer in layers.items() if name not in whole}
    if not layers:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in whole.items())
        raise UnsupportedError(f"{one!r} can replace no layer ({reasons}). Choose another block or other layers.")
    blocks = {name: one.rebuild(_convolution(layer)) for name, layer in layers.items()}
    changed = replaced(model, blocks)
    check_runs(model, changed, example)
    found = {
        name: Rebuild(
            error=_error(_convolution(layer), blocks[name], layer),
            macs=(layer.macs, _macs(one, layer)),
            params=(layer.params, one.params(_convolution(layer))),
        )
        for name, layer in layers.items()
    }
    before = (macs(model, example), parameters(model))
    return Rebuilt(
        changed,
        found,
        whole,
        (before[0], before[0] - sum(r.macs[0] - r.macs[1] for r in found.values())),
        (before[1], before[1] - sum(r.params[0] - r.params[1] for r in found.values())),
    )


def _convolution(layer: Layer) -> nn.Conv2d:
    assert isinstance(layer.module, nn.Conv2d)
    return layer.module


def _macs(one: CompactBlock, layer: Layer) -> int:
    return sum(one.macs(_convolution(layer), call) for call in layer.calls)


def _reason(one: CompactBlock, layer: Layer) -> str:
    if not isinstance(layer.module, nn.Conv2d):
        return f"it is a {type(layer.module).__name__}, allowed is Conv2d"
    reason = one.refusal(layer.module)
    return reason or ("nothing would be saved" if _macs(one, layer) >= layer.macs else "")


def _error(module: nn.Conv2d, block: nn.Module, layer: Layer) -> float:
    """By one example of positive noise, as what comes out of a ReLU is positive."""
    shape = (1, module.in_channels, *(min(size, 32) for size in layer.calls[0].inputs))
    x = torch.randn(shape, generator=generator(0, "rebuild")).abs().to(module.weight.device, module.weight.dtype)
    with torch.no_grad():
        wanted, found = module(x), block(x)
        silence = 0.0 if module.bias is None else module.bias[:, None, None]
        return float((found - wanted).square().sum() / (wanted - silence).square().sum())
