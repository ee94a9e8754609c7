"""`fold_norms`: batch norms become part of the layers before them, as they are where integers compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from secateur.core.example import Example
from secateur.quantize.layers import Layer, changed_where_it_holds_, followers, plain


def fold_norms(model: nn.Module, example_inputs: Any) -> nn.Module:
    """A copy in eval mode without the batch norms that follow a convolution or a linear layer.

    Each is multiplied into the layer before it, and an identity takes its place. Where the network then answers
    otherwise on the example, because somebody else reads what the layer returns, it stays.

    Args:
        model: masks are baked in; it is not touched.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments.

    Returns:
        The copy.
    """
    student, example = plain(model), Example.of(example_inputs)
    pairs = [
        (layer, norm)
        for layer, norm in followers(student, example)
        if isinstance(student.get_submodule(layer), Layer) and _has_statistics(student.get_submodule(norm))
    ]
    changed_where_it_holds_(student, example, [_folding(student, *pair) for pair in pairs])
    return student


def _has_statistics(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.running_mean is not None


def _folding(model: nn.Module, layer: str, norm: str) -> Callable[[], Callable[[], None]]:
    def change() -> Callable[[], None]:
        old: tuple[Any, Any] = (model.get_submodule(layer), model.get_submodule(norm))
        fuse = fuse_linear_bn_eval if isinstance(old[0], nn.Linear) else fuse_conv_bn_eval
        _put_(model, layer, fuse(*old))
        _put_(model, norm, nn.Identity())

        def undo() -> None:
            _put_(model, layer, old[0])
            _put_(model, norm, old[1])

        return undo

    return change


def _put_(model: nn.Module, name: str, module: nn.Module) -> None:
    owner, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(owner), leaf, module)
