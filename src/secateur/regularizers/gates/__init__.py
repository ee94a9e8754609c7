"""Gates: a factor for every unit, where the unit is read, and for every residual block, where it adds to the stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from secateur.core.attached import attached
from secateur.core.groups import ChannelGraph, Group, Kind, Role, Slot, is_in

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A module whose input or output a gate multiplies.

    Attributes:
        module: qualified name.
        reads: whether its input is multiplied, or its output.
        dim: counted from the end, the dim of input or output along which units lie.
        units: the unit of every entry along that dim, long; `count` for none.
        tensors: parameters that take the factors in, with the dim along which they lie; None for all of it.
    """

    module: str
    reads: bool
    dim: int
    units: Tensor
    tensors: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """The gates of a group of units, or of one residual block.

    Attributes:
        name: of the group or the block.
        count: how many there are.
        places: where they act.
        dead: parameters of units that a zero silences, with the dim and the unit of every entry along it; of a block,
            all of its parameters.
    """

    name: str
    count: int
    places: tuple[Place, ...]
    dead: tuple[tuple[str, int, Tensor], ...]

    @property
    def home(self) -> str:
        """The module that carries the parameter."""
        return self.places[0].module


def unit_gates(model: nn.Module, graph: ChannelGraph) -> list[Gate]:
    """Gates of every group that may be cut and that ordinary layers read.

    Left out are groups over which a norm reduces (a stream with layer norms), those that anything else than a linear
    layer or a convolution in one piece reads, and positions within attention heads, which attention compares.
    """
    found = []
    for group in graph.cuttable.values():
        places = [_reading(model, graph, group, slot) for slot in group.slots_with(Role.CONSUMES)]
        if group.exact and group.kind is not Kind.HEAD_DIM and places and all(places):
            makes = group.slots_with(Role.PRODUCES, Role.SCALES, Role.SHIFTS)
            dead = [(s.tensor, s.dim, _units(graph, group, s)) for s in makes if not graph.tensors[s.tensor].buffer]
            found.append(Gate(group.name, group.units, tuple(p for p in places if p), tuple(dead)))
    return found


def block_gates(model: nn.Module, graph: ChannelGraph) -> list[Gate]:
    """One gate for each residual block, where the block adds to the stream.

    That is behind the last batch norm over the stream's channels that is registered after the layer which makes them,
    or else behind that layer. Blocks in which anything else than linear layers and convolutions makes them have none.
    """
    found = []
    for block in graph.blocks:
        inner = [name for name, _ in model.named_modules() if is_in(name, (block,))]
        names: list[str] = []
        for group in graph.groups.values():
            if any(not is_in(slot.tensor, (block,)) for slot in group.slots):
                names += _adding(model, group, inner)
        owned = [name for name, axes in graph.tensors.items() if is_in(name, (block,)) and not axes.buffer]
        if names and all(_is_plain(model, graph, name) for name in names):
            places = tuple(_adder(name, graph) for name in dict.fromkeys(names))
            dead = tuple((name, 0, torch.zeros((), dtype=torch.int64)) for name in owned)
            found.append(Gate(block, 1, places, dead))
    return found


def _reading(model: nn.Module, graph: ChannelGraph, group: Group, slot: Slot) -> Place | None:
    owner, _, leaf = slot.tensor.rpartition(".")
    module = model.get_submodule(owner)
    called = {op.module for op in graph.ops if op.weight == slot.tensor}
    plain = isinstance(module, nn.Linear) or (isinstance(module, _CONVOLUTIONS) and module.groups == 1)
    axes = graph.tensors[slot.tensor]
    if not plain or leaf != "weight" or called != {owner} or axes.aliases:
        return None
    dim = -1 if isinstance(module, nn.Linear) else 1 - len(axes.axes)
    return Place(owner, True, dim, _units(graph, group, slot), ((slot.tensor, slot.dim),))


def _units(graph: ChannelGraph, group: Group, slot: Slot) -> Tensor:
    units = torch.full((graph.tensors[slot.tensor].axes[slot.dim].size(graph.full),), group.units)
    units[slot.index.flatten()] = torch.arange(group.units).unsqueeze(1).expand(slot.index.shape).flatten()
    return units


def _adding(model: nn.Module, group: Group, inner: list[str]) -> list[str]:
    """The modules inside a block behind which what it adds to the units of `group` can be multiplied."""
    makers = [s.tensor.rpartition(".")[0] for s in group.slots_with(Role.PRODUCES)]
    makers = [name for name in makers if name in inner]
    scalers = [s.tensor.rpartition(".")[0] for s in group.slots_with(Role.SCALES)]
    norms = [n for n in scalers if n in inner and isinstance(model.get_submodule(n), nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001
    after = [n for n in norms if makers and inner.index(n) > max(inner.index(m) for m in makers)]
    return after[-1:] if after else makers


def _is_plain(model: nn.Module, graph: ChannelGraph, name: str) -> bool:
    """Whether a module is a batch norm, or a linear layer or convolution that is called as a module."""
    module = model.get_submodule(name)
    called = {op.module for op in graph.ops if op.weight == f"{name}.weight"}
    layer = isinstance(module, (nn.Linear, *_CONVOLUTIONS)) and called == {name}
    return layer or isinstance(module, nn.modules.batchnorm._BatchNorm)  # noqa: SLF001


def _adder(name: str, graph: ChannelGraph) -> Place:
    owned = [(f"{name}.{leaf}", None) for leaf in ("weight", "bias") if f"{name}.{leaf}" in graph.tensors]
    return Place(name, False, -1, torch.zeros(1, dtype=torch.int64), tuple(owned))


class Factors:
    """The factors of one gate, as they are now; shared by the hooks at all of its places."""

    def __init__(self, home: nn.Module, leaf: str) -> None:
        self.home, self.leaf = home, leaf

    def now(self, training: bool) -> Tensor:
        """One factor for each unit."""
        return attached(self.home, self.leaf)


class _Multiply:
    """A hook that multiplies what goes into a module, or what comes out of it."""

    def __init__(self, factors: Factors, place: Place) -> None:
        self.factors, self.place = factors, place
        self._each = torch.equal(place.units.cpu(), torch.arange(len(place.units)))

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor | None = None) -> Any:
        values = inputs[0] if self.place.reads else output
        assert isinstance(values, Tensor)
        factors, units = self.factors.now(module.training), self.place.units
        factor = factors if self._each and len(factors) == len(units) else spread(factors, units)
        factor = factor.view([-1] + [1] * (-self.place.dim - 1)).to(values)
        return (values * factor, *inputs[1:]) if self.place.reads else values * factor


def spread(factors: Tensor, units: Tensor) -> Tensor:
    """The factor of every entry, one where no unit owns it."""
    return torch.cat([factors, factors.new_ones(1)])[units.to(factors.device)]


def hooks_at(model: nn.Module, gate: Gate, factors: Factors) -> list[Any]:
    """Let the factors act; returns the handles that take them off."""
    handles = []
    for place in gate.places:
        module, hook = model.get_submodule(place.module), _Multiply(factors, place)
        handles.append(module.register_forward_pre_hook(hook) if place.reads else module.register_forward_hook(hook))
    return handles


def bake_(model: nn.Module, gate: Gate, factors: Tensor) -> None:
    """Multiply the factors into the parameters; of what is multiplied with zero, everything becomes zero."""
    if bool((factors == 1).all()):
        return
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, dim, units in targets(gate):
            parameter = parameters[name]
            parameter.mul_(along(spread(factors, units), parameter, dim).to(parameter))
        for name, dim, units in gate.dead:
            alive = spread((factors != 0).to(factors), units)
            parameters[name].mul_(along(alive, parameters[name], dim if units.ndim else None).to(parameters[name]))


def targets(gate: Gate) -> list[tuple[str, int | None, Tensor]]:
    """Parameters that take the factors in: name, the dim of units, the unit of every entry."""
    return [(name, dim, place.units) for place in gate.places for name, dim in place.tensors]


def along(factors: Tensor, parameter: Tensor, dim: int | None) -> Tensor:
    """Factors in a shape that broadcasts to a parameter along `dim`; None for one factor of all."""
    if dim is None:
        return factors.reshape(())
    return factors.view([-1 if d == dim else 1 for d in range(parameter.ndim)])


def alive(gate: Gate, values: Mapping[str, Tensor]) -> Tensor:
    """Which units of a gate are read by anything that is not zero, boolean `(count,)`."""
    found = torch.zeros(gate.count + 1)
    for name, dim, units in targets(gate):
        value = values[name].detach().abs()
        entries = value.sum().view(1) if dim is None else value.movedim(dim, 0).flatten(1).sum(1)
        found = found.to(entries).index_add(0, units.to(entries.device), entries)
    return found[:-1] > 0


def names_of(gates: Iterable[Gate]) -> tuple[str, ...]:
    """The tensors that take factors in."""
    return tuple(dict.fromkeys(name for gate in gates for name, _, _ in targets(gate)))


def plain_layers(model: nn.Module, graph: ChannelGraph) -> dict[str, str]:
    """Linear layers and convolutions that are called as modules and share no weight: weight's name to module's."""
    found = {}
    for op in graph.ops:
        owner, _, leaf = op.weight.rpartition(".") if op.weight else ("", "", "")
        if leaf != "weight" or graph.tensors[op.weight].aliases or not _is_plain(model, graph, owner):
            continue
        if isinstance(model.get_submodule(owner), (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            found[op.weight] = owner
    return found


def applied(module: nn.Module, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What a linear layer or convolution would give with another weight and bias."""
    if isinstance(module, nn.Linear):
        return nn.functional.linear(x, weight, bias)
    assert isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d))
    out: Tensor = module._conv_forward(x, weight, bias)  # noqa: SLF001  padding of every mode and all
    return out
