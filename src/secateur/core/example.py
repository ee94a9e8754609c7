"""Example inputs: one spelling (`Example`) for a tensor, a tuple of arguments or a dict of keyword arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from secateur.core.errors import TraceError


@dataclass(frozen=True, slots=True)
class Example:
    """The arguments of one forward pass.

    Attributes:
        args: positional arguments; tensors anywhere inside nested tuples, lists and dicts.
        kwargs: keyword arguments.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @classmethod
    def of(cls, example_inputs: Any) -> Example:
        """Read what a user passes: a tensor, a tuple or list of arguments, or a dict of keyword arguments."""
        match example_inputs:
            case Example():
                return example_inputs
            case Tensor():
                return cls((example_inputs,), {})
            case tuple() | list():
                return cls(tuple(example_inputs), {})
            case Mapping():
                return cls((), dict(example_inputs))
            case _:
                raise TraceError(
                    f"example_inputs must be a tensor, a tuple of arguments or a dict of keyword arguments, "
                    f"got {type(example_inputs).__name__}. Pass for instance torch.zeros(1, 3, 224, 224)."
                )

    def call(self, model: nn.Module) -> Any:
        """Run `model` on these arguments."""
        return model(*self.args, **self.kwargs)

    def map(self, function: Callable[[Tensor], Tensor]) -> Example:
        """The same arguments with `function` applied to every tensor."""
        args, kwargs = tree_map(lambda x: function(x) if isinstance(x, Tensor) else x, (self.args, dict(self.kwargs)))
        return Example(args, kwargs)

    def wider(self) -> Example:
        """The same inputs with the first sample once more, taking the first dim of the first tensor for the batch.

        It comes mirrored along its last dim: of two equal samples a batch norm sees no variance.
        """
        size = next((len(x) for x in self.tensors() if x.ndim), 0)
        return self.map(lambda x: torch.cat([x, x[:1].flip(-1)]) if x.ndim and len(x) == size else x)

    def tensors(self) -> list[Tensor]:
        """Every tensor among the arguments, in a fixed order."""
        return [x for x in tree_leaves((self.args, dict(self.kwargs))) if isinstance(x, Tensor)]

    def spec(self) -> dict[str, Any]:
        """What a JSON file can hold of the arguments: shapes, dtypes and value ranges, not the values."""
        return {"args": [_describe(x) for x in self.args], "kwargs": {k: _describe(v) for k, v in self.kwargs.items()}}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], rng: torch.Generator) -> Example:
        """Random arguments that fit `spec`: normal floats, integers inside the range that was seen."""
        return cls(
            tuple(_imagine(x, rng) for x in spec["args"]),
            {k: _imagine(v, rng) for k, v in spec["kwargs"].items()},
        )


def _describe(value: Any) -> Any:
    match value:
        case Tensor():
            whole = not (value.is_floating_point() or value.is_complex())
            low, high = (int(value.min()), int(value.max())) if whole and value.numel() else (0, 1)
            return {
                "tensor": list(value.shape),
                "dtype": str(value.dtype).removeprefix("torch."),
                "low": low,
                "high": high,
            }
        case tuple() | list():
            return {"list": [_describe(x) for x in value], "tuple": isinstance(value, tuple)}
        case Mapping():
            return {"dict": {str(k): _describe(v) for k, v in value.items()}}
        case None | bool() | int() | float() | str():
            return {"value": value}
        case _:
            raise TraceError(
                f"example_inputs holds a {type(value).__name__}, which a plan cannot describe. "
                "Allowed are tensors, numbers, strings, None, and tuples, lists and dicts of them."
            )


def _imagine(spec: Mapping[str, Any], rng: torch.Generator) -> Any:
    if "value" in spec:
        return spec["value"]
    if "list" in spec:
        items = [_imagine(x, rng) for x in spec["list"]]
        return tuple(items) if spec["tuple"] else items
    if "dict" in spec:
        return {k: _imagine(v, rng) for k, v in spec["dict"].items()}
    dtype: torch.dtype = getattr(torch, spec["dtype"])
    if dtype.is_floating_point or dtype.is_complex:
        return torch.randn(spec["tensor"], generator=rng).to(dtype)
    return torch.randint(spec["low"], spec["high"] + 1, spec["tensor"], generator=rng).to(dtype)
