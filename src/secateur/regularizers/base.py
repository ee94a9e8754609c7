"""The registry of regularisers, groups of entries, and the proximal maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from secateur.core.contracts import Regularizer
from secateur.core.errors import IncompatibleError
from secateur.core.groups import ChannelGraph, Role, is_in
from secateur.core.plan import PruningPlan
from secateur.core.registry import Registry

REGULARIZERS: Registry[type[Regularizer]] = Registry("regularizer")
regularizer = REGULARIZERS

#: What the entries of a weight may be grouped by.
WITHIN = ("weight", "filter", "channel", "shape", "depth")


def check_positive(**settings: float) -> None:
    """None of them is negative.

    Raises:
        IncompatibleError: one is.
    """
    for name, value in settings.items():
        if not value >= 0:
            raise IncompatibleError(f"{name} must be 0 or more, got {name}={value!r}. 0 charges nothing.")


def check_choice(allowed: tuple[str, ...], **settings: str) -> None:
    """Each of them is one of the words allowed.

    Raises:
        IncompatibleError: one is not.
    """
    for name, value in settings.items():
        if value not in allowed:
            words = ", ".join(map(repr, allowed))
            raise IncompatibleError(f"{name} must be one of {words}, got {name}={value!r}.")


def weights(graph: ChannelGraph) -> tuple[str, ...]:
    """Every weight that multiplies and adds (convolutions, linear layers), in order of execution, each once."""
    named = dict.fromkeys(op.weight for op in graph.ops if op.weight)
    return tuple(name for name in named if not graph.tensors[name].buffer)


def shape_of(graph: ChannelGraph, tensor: str) -> tuple[int, ...]:
    """The sizes of a tensor before any cut."""
    return tuple(axis.size(graph.full) for axis in graph.tensors[tensor].axes)


def silenced(plan: PruningPlan) -> tuple[str, ...]:
    """Every parameter of which plans like this one may silence entries."""
    names: dict[str, None] = {}
    for block in plan.granularity.blocks(plan.graph):
        names |= dict.fromkeys(plan.granularity.expand(plan.graph, block, torch.zeros(block.units, dtype=torch.bool)))
    return tuple(names)


def norm_of(squares: Tensor) -> Tensor:
    """Roots of sums of squares; the derivative at zero is zero, a subgradient."""
    alive = squares > 0
    return torch.where(alive, torch.where(alive, squares, 1.0).sqrt(), 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Groups of entries that live or die together.

    Attributes:
        cells: pairs of a tensor's name and the number of the group that each of its entries belongs to, long, in a
            shape that broadcasts to the tensor's; `count` for none.
        sizes: entries in each group, `(count,)`.
    """

    cells: tuple[tuple[str, Tensor], ...]
    sizes: Tensor

    @property
    def count(self) -> int:
        """How many groups there are."""
        return len(self.sizes)

    @property
    def tensors(self) -> tuple[str, ...]:
        """The tensors that hold them, each once."""
        return tuple(dict.fromkeys(name for name, _ in self.cells))

    def squares(self, values: Mapping[str, Tensor]) -> Tensor:
        """Sum of squares of every group, `(count,)`."""
        first = values[self.cells[0][0]]
        total = torch.zeros(self.count + 1, dtype=first.dtype, device=first.device)
        for name, cell in self.cells:
            square = values[name].square()
            within = [dim for dim, size in enumerate(cell.shape) if size == 1]
            reduced = square.sum(within, keepdim=True) if within else square
            total = total.index_add(0, cell.to(first.device).flatten(), reduced.flatten())
        return total[:-1]

    def spread(self, factors: Tensor) -> dict[str, Tensor]:
        """By tensor, what each entry is multiplied with, given a factor of each group; broadcasts to the tensor."""
        with_rest = torch.cat([factors, factors.new_ones(1)])
        found: dict[str, Tensor] = {}
        for name, cell in self.cells:
            factor = with_rest[cell.to(factors.device)]
            found[name] = found[name] * factor if name in found else factor
        return found


class _Same:
    """A graph that equals itself alone, so that it can be looked up fast; graphs never change."""

    def __init__(self, graph: ChannelGraph) -> None:
        self.graph = graph

    def __hash__(self) -> int:
        return id(self.graph)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.graph is other.graph


def grouped(graph: ChannelGraph, by: str) -> Groups:
    """Groups of the entries of all weights; those of the last few graphs are kept, since every step asks.

    Args:
        graph: the structure.
        by: "weight" (every entry alone), "filter" (what makes one output), "channel" (what reads one input), "shape"
            (what all outputs read from one place of the input), "depth" (all weights of a block that may go as a whole;
            where there are none, of a layer), "unit" (everything that would go with a channel, consumers too), "maker"
            (the same without consumers).
    """
    return _grouped(_Same(graph), by)


@lru_cache(maxsize=8)
def _grouped(same: _Same, by: str) -> Groups:
    graph = same.graph
    if by in ("unit", "maker"):
        return _units(graph, consumers=by == "unit")
    if by == "depth" and graph.blocks:
        return _blocks(graph)
    cells, start = [], 0
    for name in weights(graph):
        shape = shape_of(graph, name)
        alone = tuple(1 if dim in _within(graph, name, by) else size for dim, size in enumerate(shape))
        cell = torch.arange(start, start + int(torch.Size(alone).numel())).view(alone)
        start += cell.numel()
        cells.append((name, cell))
    return _counted(graph, cells, start)


def output_dim(graph: ChannelGraph, tensor: str) -> int:
    """The dim of a weight along which outputs lie: the second, where inputs come first, else the first."""
    slots = [slot for group in graph.groups.values() for slot in group.slots_with(Role.PRODUCES)]
    return int({slot.dim for slot in slots if slot.tensor == tensor} == {1})


def _within(graph: ChannelGraph, tensor: str, by: str) -> tuple[int, ...]:
    """The dims of a weight that lie within one group."""
    rank, out = len(graph.tensors[tensor].axes), output_dim(graph, tensor)
    match by:
        case "weight":
            return ()
        case "shape":
            return (out,)
        case "depth":
            return tuple(range(rank))
        case _:
            alone = out if by == "filter" else 1 - out
            return tuple(dim for dim in range(rank) if dim != alone)


def _blocks(graph: ChannelGraph) -> Groups:
    names = weights(graph)
    owner = {name: number for number, block in enumerate(graph.blocks) for name in names if is_in(name, (block,))}
    cells = [(name, torch.full((1,) * len(shape_of(graph, name)), owner[name])) for name in names if name in owner]
    return _counted(graph, cells, len(graph.blocks))


def _units(graph: ChannelGraph, *, consumers: bool) -> Groups:
    roles = (Role.PRODUCES, Role.SCALES, Role.SHIFTS, *((Role.CONSUMES,) if consumers else ()))
    count = sum(group.units for group in graph.cuttable.values())
    cells, start = [], 0
    for group in graph.cuttable.values():
        for slot in group.slots_with(*roles):
            if not graph.tensors[slot.tensor].buffer:
                shape = shape_of(graph, slot.tensor)
                cell = torch.full((shape[slot.dim],), count)
                units = torch.arange(start, start + group.units).unsqueeze(1)
                cell[slot.index.flatten()] = units.expand(slot.index.shape).flatten()
                cells.append((slot.tensor, cell.view([-1 if dim == slot.dim else 1 for dim in range(len(shape))])))
        start += group.units
    return _counted(graph, cells, count)


def _counted(graph: ChannelGraph, cells: list[tuple[str, Tensor]], count: int) -> Groups:
    if not cells or not count:
        raise IncompatibleError(
            "this network has no such groups: nothing in it may be cut as a whole. Charge single weights instead (l1)."
        )
    sizes = torch.zeros(count + 1)
    for name, cell in cells:
        each = torch.Size(shape_of(graph, name)).numel() // cell.numel()
        sizes.index_add_(0, cell.flatten(), torch.full((cell.numel(),), float(each)))
    return Groups(tuple(cells), sizes[:-1])


def shrunk(values: Tensor, threshold: float | Tensor) -> Tensor:
    """The proximal map of `threshold |x|`: `sign(x) max(|x| - threshold, 0)`."""
    return values.sign() * (values.abs() - threshold).clamp(min=0)


def group_factors(squares: Tensor, thresholds: Tensor) -> Tensor:
    """The proximal map of `threshold ||x||_2` as factors: `max(0, 1 - threshold / ||x||)`, from `||x||^2`."""
    norms = norm_of(squares)
    return torch.where(norms > 0, 1 - thresholds / norms.clamp_min(torch.finfo(norms.dtype).tiny), 0.0).clamp(min=0)


def low_rank(matrix: Tensor, threshold: float) -> Tensor:
    """The proximal map of `threshold` times the nuclear norm: singular values, soft-thresholded."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    thresholded: Tensor = (left * (values - threshold).clamp(min=0)) @ right
    return thresholded
