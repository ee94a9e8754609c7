"""The registry of granularities, and what those within weights share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Block, Granularity
from secateur.core.groups import ChannelGraph, Role
from secateur.core.registry import Registry

GRANULARITIES: Registry[type[Granularity]] = Registry("granularity")
granularity = GRANULARITIES


@dataclass(frozen=True, slots=True)
class Filters:
    """A weight that multiplies and adds.

    Attributes:
        shape: its sizes, `(outputs, inputs, *kernel)` as a rule.
        turned: whether inputs come first, as in transposed convolutions and in `x @ w`.
        convolves: whether the dims behind the second are those of a kernel.
    """

    shape: tuple[int, ...]
    turned: bool
    convolves: bool


def filters(graph: ChannelGraph) -> dict[str, Filters]:
    """Every weight of an operator that costs multiply-accumulates, by name."""
    groups = graph.groups.values()
    makes = {(slot.tensor, slot.dim) for group in groups for slot in group.slots_with(Role.PRODUCES)}
    found: dict[str, Filters] = {}
    for op in graph.ops:
        if op.weight and not graph.tensors[op.weight].buffer:
            shape = tuple(a.size(graph.full) for a in graph.tensors[op.weight].axes)
            turned = (op.weight, 1) in makes and (op.weight, 0) not in makes
            found.setdefault(op.weight, Filters(shape, turned, op.name == "convolution"))
    return found


@dataclass(frozen=True, slots=True)
class Layout:
    """How the entries of a weight make up units.

    Attributes:
        sizes: the weight's dims, some of them taken apart or joined.
        inside: dims of `sizes` that lie within a unit; a unit is one place in the others.
    """

    sizes: tuple[int, ...]
    inside: tuple[int, ...] = ()

    @property
    def outside(self) -> tuple[int, ...]:
        """The sizes, with 1 for those within a unit."""
        return tuple(1 if dim in self.inside else size for dim, size in enumerate(self.sizes))


class WithinWeights(Granularity):
    """Units are equal parts of a weight; what goes becomes zeros, and shapes stay."""

    structured: ClassVar[bool] = False

    @abstractmethod
    def refuses(self, weight: Filters) -> str:
        """Why a weight cannot be taken apart like this; empty if it can."""

    @abstractmethod
    def layout(self, shape: tuple[int, ...]) -> Layout:
        """How the entries of a weight make up units."""

    def blocks(self, graph: ChannelGraph) -> Sequence[Block]:
        """One block for each weight that can be taken apart like this."""
        fitting = {name: weight.shape for name, weight in filters(graph).items() if not self.refuses(weight)}
        outside = {name: self.layout(shape).outside for name, shape in fitting.items()}
        weights = [Block(name, prod(sizes), (name,), rows=sizes[0]) for name, sizes in outside.items()]
        return [*weights, *self.extra(graph)]

    def extra(self, graph: ChannelGraph) -> Sequence[Block]:
        """Blocks beside weights; by default none."""
        return ()

    def omitted(self, graph: ChannelGraph) -> Mapping[str, str]:
        """The weights that cannot be taken apart like this, and why."""
        reasons = {name: self.refuses(weight) for name, weight in filters(graph).items()}
        return {name: why for name, why in reasons.items() if why}

    def reduce(self, block: Block, saliency: Mapping[str, Tensor]) -> Tensor:
        """Sum over the entries of each unit."""
        values = saliency[block.name].double()
        layout = self.layout(tuple(values.shape))
        laid_out = values.reshape(layout.sizes)
        return (laid_out.sum(layout.inside) if layout.inside else laid_out).flatten()

    def expand(self, graph: ChannelGraph, block: Block, keep: Tensor) -> Mapping[str, Tensor]:
        """The mask in the weight's shape."""
        shape = tuple(a.size(graph.full) for a in graph.tensors[block.name].axes)
        layout = self.layout(shape)
        return {block.name: keep.view(layout.outside).expand(layout.sizes).reshape(shape)}


def turned(weight: Filters) -> str:
    """Why a weight whose inputs come first is left out, where units are told by outputs and inputs."""
    return "its inputs come before its outputs, as in a transposed convolution" if weight.turned else ""


def kernels(weight: Filters) -> str:
    """Why a weight without kernels is left out, where units are made of kernels."""
    return "" if weight.convolves else "it is no convolution, and so has no kernels"
