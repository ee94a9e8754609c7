"""Integers that standard modules keep beside their tensors, as functions of widths: one line per kind of module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any

from torch import Tensor, nn

from secateur.core.groups import Attribute, Axis, TensorAxes

Found = Iterator[tuple[str, Axis, int | None]]

#: The tensors from which sizes are read.
_LEAVES = ("weight", "running_mean", "weight_ih", "weight_hh", "weight_ih_l0", "weight_hh_l0", "weight_hr_l0")


#: Under which names a tensor is stored that a module computes before use; of those in its shape, the first.
_STORED = (
    "{}", "parametrizations.{}.original", "parametrizations.{}.original0", "parametrizations.{}.original1",
    "{}_v", "{}_orig",
)  # fmt: skip


def standard_attributes(model: nn.Module, tensors: Mapping[str, TensorAxes]) -> tuple[Attribute, ...]:
    """The integers of all standard modules in `model` that would change in some cut."""
    found = []
    for name, module in model.named_modules():
        reader = next((r for kind, r in _READERS if isinstance(module, kind)), None)
        own = {} if reader is None else {leaf: axes for leaf in _LEAVES if (axes := _axes(name, module, leaf, tensors))}
        if reader is None or not own:
            continue
        for attribute, axis, item in reader(module, own):
            if axis.terms:
                found.append(Attribute(name, attribute, axis, item))
    return tuple(found)


def _axes(path: str, module: nn.Module, leaf: str, tensors: Mapping[str, TensorAxes]) -> TensorAxes | None:
    """The axes of a module's tensor, or of the stored one of its shape from which it is computed."""
    value: Any = getattr(module, leaf, None)
    for form in _STORED if isinstance(value, Tensor) else ():
        stored = tensors.get(f"{path}.{form.format(leaf)}" if path else form.format(leaf))
        if stored is not None and attrgetter(form.format(leaf))(module).shape == value.shape:
            return stored
    return None


def _convolution(module: Any, own: Mapping[str, TensorAxes]) -> Found:
    first, second = own["weight"].axes[:2]
    depthwise = module.groups > 1 and module.groups == module.in_channels
    groups = (
        first.over(1 if module.transposed else module.out_channels // module.groups)
        if depthwise
        else Axis(module.groups)
    )
    if depthwise:
        yield "groups", groups, None
    if module.transposed:
        yield "in_channels", first, None
        yield "out_channels", groups if depthwise else second.times(module.groups), None
    else:
        yield "in_channels", groups if depthwise else second.times(module.groups), None
        yield "out_channels", first, None


def _linear(_: Any, own: Mapping[str, TensorAxes]) -> Found:
    yield "out_features", own["weight"].axes[0], None
    yield "in_features", own["weight"].axes[1], None


def _bilinear(_: Any, own: Mapping[str, TensorAxes]) -> Found:
    for dim, name in enumerate(("out_features", "in1_features", "in2_features")):
        yield name, own["weight"].axes[dim], None


def _batch_norm(_: Any, own: Mapping[str, TensorAxes]) -> Found:
    yield "num_features", next(iter(own.values())).axes[0], None


def _layer_norm(module: Any, own: Mapping[str, TensorAxes]) -> Found:
    for item in range(len(module.normalized_shape)):
        yield "normalized_shape", own["weight"].axes[item], item


def _group_norm(module: Any, own: Mapping[str, TensorAxes]) -> Found:
    yield "num_channels", own["weight"].axes[0], None
    if module.num_groups == module.num_channels:
        yield "num_groups", own["weight"].axes[0], None


def _embedding(_: Any, own: Mapping[str, TensorAxes]) -> Found:
    yield "num_embeddings", own["weight"].axes[0], None
    yield "embedding_dim", own["weight"].axes[1], None


def _prelu(module: Any, own: Mapping[str, TensorAxes]) -> Found:
    if module.num_parameters > 1:
        yield "num_parameters", own["weight"].axes[0], None


def _recurrent(module: Any, own: Mapping[str, TensorAxes]) -> Found:
    gates = {"LSTM": 4, "GRU": 3}.get(module.mode, 1)
    yield "input_size", own["weight_ih_l0"].axes[1], None
    yield "hidden_size", own["weight_hh_l0"].axes[0].over(gates), None
    if module.proj_size:
        yield "proj_size", own["weight_hr_l0"].axes[0], None


def _cell(_: Any, own: Mapping[str, TensorAxes]) -> Found:
    yield "input_size", own["weight_ih"].axes[1], None
    yield "hidden_size", own["weight_hh"].axes[1], None


_READERS: tuple[tuple[Any, Callable[[Any, Mapping[str, TensorAxes]], Found]], ...] = (
    (nn.modules.conv._ConvNd, _convolution),  # noqa: SLF001  the common base of all convolutions
    (nn.Linear, _linear),
    (nn.Bilinear, _bilinear),
    (nn.modules.batchnorm._NormBase, _batch_norm),  # noqa: SLF001  batch and instance norm
    (nn.LayerNorm, _layer_norm),
    (nn.GroupNorm, _group_norm),
    (nn.Embedding, _embedding),
    (nn.PReLU, _prelu),
    (nn.RNNBase, _recurrent),
    (nn.RNNCellBase, _cell),
)
