"""A network without numbers: a recording needs shapes, and on torch's meta device shapes are all that is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload

from secateur.core.copying import copied
from secateur.core.example import Example
from secateur.graph.shapes import results_of


def weightless(model: nn.Module, example: Example) -> tuple[nn.Module, Example]:
    """A copy of `model` in eval mode, and its inputs, that hold shapes, strides and types, but no numbers.

    Everything else is copied as it is, tensors kept as plain attributes included. A forward pass that asks for a number
    raises; one that does not computes the shapes that the real network would.

    Raises:
        TypeError: a tensor is more than its shape, strides and type: of another class or layout, or a view of another.
    """
    tensors = [*model.parameters(), *model.buffers()]
    hollow = {id(t): _hollow(t) for t in tensors}
    if len({_home(t) for t in tensors}) < len(tensors):
        raise TypeError("tensors of the model are views of others.")
    return copied(model, hollow).eval(), example.map(_hollow)


def _hollow(tensor: Tensor) -> Tensor:
    if type(tensor) not in (Tensor, nn.Parameter) or tensor.layout is not torch.strided or tensor.is_quantized:
        raise TypeError(f"a {type(tensor).__name__} of layout {tensor.layout} is more than a shape")
    shape = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    return nn.Parameter(shape, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else shape


class OnlyShapes:
    """Runs operators without numbers, unless the answer would be made up.

    That is so where a tensor with numbers is filled from one without, and where a tensor appears that no operator has
    made: `torch.tensor(x.shape[1], device=x.device)` makes one, out of a number that nobody would see change.

    Attributes:
        failure: the first objection, or what torch said to an operator without numbers, be it caught by the forward
            pass or not.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self.failure: Exception | None = None
        self.alive: list[Tensor] = []  # keeps addresses unique for as long as the pass runs
        self.homes: set[int] = set()
        self._know(tensors)

    def run(self, func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the operator returns; operators on numbers are run as they are."""
        read = [x for x in _tensors(args, kwargs) if x.is_meta]
        try:
            if any(_home(x) not in self.homes for x in read):
                raise RuntimeError(f"{func.name()} reads a tensor that no operator has made.")
            out = results_of(func, args, kwargs) if read else func(*args, **kwargs)
            made = list(_tensors(out))
            if read and not all(x.is_meta for x in made):
                raise RuntimeError(f"{func.name()} fills a tensor that has numbers from one that has none.")
        except Exception as error:
            self.failure = self.failure or (error if read else None)
            raise
        self._know(made)
        return out

    def _know(self, tensors: Iterable[Tensor]) -> None:
        hollow = [x for x in tensors if x.is_meta]
        self.alive += hollow
        self.homes.update(map(_home, hollow))


def _home(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001  an address, not data


def _tensors(*values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(*value)
        elif isinstance(value, dict):
            yield from _tensors(*value.values())
