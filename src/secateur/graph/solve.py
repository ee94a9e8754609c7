"""Components of joined atoms become units, units with the same places become groups, and all lengths become axes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import gcd, lcm
from typing import Any

import torch
from torch import Tensor, nn

from secateur.core.groups import (
    Attribute,
    Axis,
    ChannelGraph,
    Group,
    Kind,
    LiveCall,
    Op,
    Rescaling,
    Role,
    Slot,
    TensorAxes,
    fingerprint,
)
from secateur.core.rng import generator
from secateur.graph.attention import attention_attributes
from secateur.graph.attributes import standard_attributes
from secateur.graph.labels import Atoms, strongest
from secateur.graph.propagate import Propagation


@dataclass(slots=True)
class Solution:
    """The groups of a propagation, and where each atom went.

    Attributes:
        groups: by name, in order of first use.
        group_of: for every atom the number of its group, -1 where it belongs to none.
        unit_of: for every atom the number of its unit within the group.
        axes: axes that have been asked for, by the groups and units along the dim.
        cut: the cut that was asked for last, and for every atom whether it stays.
    """

    groups: dict[str, Group]
    group_of: Tensor
    unit_of: Tensor
    axes: dict[bytes, Axis | None] = field(default_factory=dict)
    cut: tuple[Mapping[str, Tensor], Tensor] | None = None

    def axis(self, labels: Tensor | None, size: int) -> Axis | None:
        """The length of a dim as a function of widths; None where it is not one (units of unequal share)."""
        if labels is None:
            return Axis(size)
        along = torch.stack([self.group_of[labels], self.unit_of[labels]])
        key = along.numpy().tobytes()  # most dims are like others: all that a batch norm keeps, say
        if key not in self.axes:
            self.axes[key] = self._axis(*along)
        return self.axes[key]

    def _axis(self, groups: Tensor, units: Tensor) -> Axis | None:
        names = list(self.groups)
        terms, fixed = [], int((groups < 0).sum())
        for number in groups[groups >= 0].unique().tolist():
            group = self.groups[names[number]]
            count = torch.bincount(units[groups == number], minlength=group.units)
            if group.pinned:
                fixed += int(count.sum())
            elif bool((count == count[0]).all()):
                terms.append((group.name, int(count[0])))
            else:
                return None
        return Axis(fixed, tuple(terms))

    def kept(self, labels: Tensor | None, size: int, kept: Mapping[str, Tensor]) -> int:
        """How many entries of a dim stay, counted entry by entry."""
        if labels is None:
            return size
        if self.cut is None or self.cut[0] is not kept:
            self.cut = kept, self._stays(kept)
        return int(self.cut[1][labels].sum())

    def _stays(self, kept: Mapping[str, Tensor]) -> Tensor:
        """For every atom whether it stays."""
        first = torch.tensor([0, *(group.units for group in self.groups.values())]).cumsum(0)
        stays = [kept.get(name, torch.ones(group.units, dtype=torch.bool)) for name, group in self.groups.items()]
        stays.append(torch.ones(1, dtype=torch.bool))  # for atoms of no group, as the last of all
        return torch.cat(stays)[torch.where(self.group_of < 0, -1, first[self.group_of] + self.unit_of)]


def solve(walk: Propagation) -> Solution:
    """Group the atoms of a propagation."""
    atoms = walk.atoms
    root = atoms.components()
    pin, live = _first_pins(walk, root), _live(walk, root)
    table = _Table.of(walk, root)
    reasons = [*(why for _, why in atoms.pins), None]  # the last for atoms without a pin, whose number is -1
    salts = {why: hash_of(why) if why else 0 for why in set(reasons)}
    salt = torch.tensor([salts[why] for why in reasons])
    # Pinned units never share a group with units that may go, nor units of pieces whose sizes must follow one by one.
    # Those that nobody would cut make no group.
    together = table.together(table.signatures(atoms.count) + _in_pieces(walk, root) + salt[pin])
    members = [units for units in together if reasons[int(pin[units[0]])] != ""]
    number, unit = torch.full((atoms.count,), -1), torch.full((atoms.count,), -1)
    for n, units in enumerate(members):
        number[units], unit[units] = n, torch.arange(len(units))
    sizes, kinds = [len(units) for units in members], atoms.kind_of(root)
    groups: dict[str, Group] = {}
    for units, slots in zip(members, table.slots(number, unit, atoms.role_of(), sizes), strict=True):
        name, one = _name(slots, groups), int(units[0])
        pinned, kind = reasons[int(pin[one])] or "", kinds.get(one) or _kind(walk, slots)
        groups[name] = Group(name, len(units), slots, exact=one not in live, pinned=pinned, kind=kind)
    solution = Solution(groups, number[root], unit[root])
    _limit_(solution, walk.atoms)
    return solution


def _limit_(solution: Solution, atoms: Atoms) -> None:
    """Set the widths that groups may keep, the smallest and their step; a group that could lose nothing is pinned."""
    reasons = dict.fromkeys(solution.groups, "has one unit only, and every group keeps one")
    for labels, step, why in atoms.steps:
        axis = solution.axis(labels, len(labels))
        whole = axis is None or axis.fixed % step
        numbers = [n for n in solution.group_of[labels].unique().tolist() if n >= 0]
        for name in [list(solution.groups)[n] for n in numbers]:
            share = dict(axis.terms).get(name, 0) if axis is not None and not whole else 0
            own = step // gcd(step, share) if share else solution.groups[name].units
            solution.groups[name] = _stepped(solution.groups[name], own)
            reasons[name] = why
    for labels, least, why in atoms.minima:
        axis = solution.axis(labels, len(labels))
        if axis is None:  # units of unequal share: how many entries a width leaves cannot be told
            for number in solution.group_of[labels].unique().tolist():
                if number >= 0:
                    name = list(solution.groups)[number]
                    _raise_(solution, reasons, name, solution.groups[name].units, why)
        elif least > axis.fixed and axis.terms:
            # One group is enough to keep the dim long enough: the one with most to spare.
            name, k = max(axis.terms, key=lambda term: (solution.groups[term[0]].units * term[1], term[0]))
            _raise_(solution, reasons, name, -(-(least - axis.fixed) // k), why)
    for name, group in solution.groups.items():
        least = -(-group.minimum // group.multiple) * group.multiple
        if not group.pinned and least >= group.units:
            solution.groups[name] = replace(group, pinned=reasons[name])
    solution.axes.clear()  # they told of groups that could be cut


def _stepped(group: Group, step: int) -> Group:
    """The group with widths that divide by `step`, beside those that it divides by already."""
    multiple = lcm(group.multiple, step)
    return replace(group, multiple=multiple, minimum=max(group.minimum, min(multiple, group.units)))


def _raise_(solution: Solution, reasons: dict[str, str], name: str, minimum: int, why: str) -> None:
    group = solution.groups[name]
    if minimum > group.minimum:
        solution.groups[name], reasons[name] = replace(group, minimum=minimum), why


def build(model: nn.Module, walk: Propagation, solution: Solution, inputs: Mapping[str, Any]) -> ChannelGraph:
    """Everything that later steps may know, as plain data."""
    named = dict(model.named_parameters()) | dict(model.named_buffers())
    buffers = {n for n, _ in model.named_buffers()}
    tensors = {}
    for name, tensor in named.items():
        axes = [solution.axis(v, s) for v, s in zip(walk.owned[name], tensor.shape, strict=True)]
        tensors[name] = TensorAxes(
            tuple(a or Axis(s) for a, s in zip(axes, tensor.shape, strict=True)), name in buffers
        )
    for alias, original in aliases(model).items():
        tensors[original] = TensorAxes(
            tensors[original].axes, tensors[original].buffer, (*tensors[original].aliases, alias)
        )
    ops = []
    for b in walk.bookings:
        loops = [solution.axis(v, len(v)) or Axis(len(v)) for v in b.loops]
        ops.append(Op(b.name, b.module, b.weight, (Axis(b.constant), *loops)))
    return ChannelGraph(
        groups=solution.groups,
        tensors=tensors,
        ops=tuple(ops),
        attributes=(
            *standard_attributes(model, tensors),
            *attention_attributes(model, tensors, solution.groups),
            *_kept_sizes(walk, solution, tensors),
        ),
        live=_live_calls(walk, solution),
        rescalings=_rescalings(walk, solution),
        fingerprint=fingerprint(model),
        unknown=dict(walk.unknown),
        inputs=inputs,
    )


def _kept_sizes(walk: Propagation, solution: Solution, tensors: Mapping[str, TensorAxes]) -> tuple[Attribute, ...]:
    """Sizes kept by modules that hold no tensor from which they could be read."""
    found = {}
    for labels, module, name in walk.atoms.sizes:
        axis = solution.axis(labels, len(labels))
        if axis is not None and axis.terms and not any(t.startswith(f"{module}.") for t in tensors):
            found[module, name] = Attribute(module, name, axis)
    return tuple(found.values())


def aliases(model: nn.Module) -> dict[str, str]:
    """Further names of tied tensors, mapped to the first."""
    first: dict[int, str] = {}
    again: dict[str, str] = {}
    every = [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ]
    for name, tensor in every:
        if id(tensor) in first:
            again[name] = first[id(tensor)]
        else:
            first[id(tensor)] = name
    return again


def _live_calls(walk: Propagation, solution: Solution) -> tuple[LiveCall, ...]:
    """The calls that compute over a dim some of which may really go."""
    calls, groups = [], list(solution.groups.values())
    for site in walk.atoms.live.values():
        if site.labels is None:
            continue
        group_of, unit_of = solution.group_of[site.labels], solution.unit_of[site.labels]
        members = tuple(
            (groups[number].name, torch.where(group_of == number, unit_of, torch.full_like(unit_of, -1)))
            for number in group_of[group_of >= 0].unique().tolist()
            if not groups[number].pinned
        )
        if members:
            calls.append(LiveCall(site.module, *site.function, site.dim, site.size, members))
    return tuple(sorted(calls, key=lambda c: (c.key, c.dim, c.size)))


def _rescalings(walk: Propagation, solution: Solution) -> tuple[Rescaling, ...]:
    found = []
    for one in walk.rescaled:
        axis = solution.axis(one.labels, len(one.labels))
        if axis is not None and axis.terms:
            found.append(Rescaling(one.tensor, one.dim, one.entries, axis, one.power))
    return tuple(found)


def hash_of(text: str) -> int:
    """A stable 62-bit number for a string."""
    return int(torch.randint(2**62, (1,), generator=generator(0, text)))


def _first_pins(walk: Propagation, root: Tensor) -> Tensor:
    """For every component the number of the pin that counts, the first with a reason; -1 without any; `(count,)`."""
    pins = walk.atoms.pins
    order = torch.arange(len(pins)) + torch.tensor([0 if why else len(pins) for _, why in pins], dtype=torch.long)
    atoms = torch.cat([torch.zeros(0, dtype=torch.long), *(a for a, _ in pins)])
    turn = order.repeat_interleave(torch.tensor([len(a) for a, _ in pins], dtype=torch.long))
    none = 2 * len(pins)
    first = torch.full((walk.atoms.count,), none).scatter_reduce_(0, root[atoms], turn, "amin")
    first[0] = none
    return torch.where(first == none, -1, first % max(len(pins), 1))


def _in_pieces(walk: Propagation, root: Tensor) -> Tensor:
    """For every component a number that says in which pieces of which calls it has how many entries; `(count,)`."""
    signature = torch.zeros(walk.atoms.count, dtype=torch.long)
    training = walk.training.pieces if walk.training is not None else {}
    every = {f"call {n}": v for n, v in walk.pieces.items()} | {f"call {n} in training": v for n, v in training.items()}
    for call, pieces in every.items():
        for n, labels in enumerate(pieces):
            salt = torch.full(labels.shape, hash_of(f"piece {n} of {call}"))
            signature.scatter_add_(0, root[labels], salt)
    return signature


def _live(walk: Propagation, root: Tensor) -> set[int]:
    found = [site.labels for site in walk.atoms.live.values() if site.labels is not None]
    return {a for labels in found for a in root[labels[labels > 0]].unique().tolist()}


@dataclass(slots=True)
class _Table:
    """One row per entry of every dim of every tensor, tensors in order of first use.

    Attributes:
        places: the tensor and dim behind each place number.
        atom: the entry's own atom.
        component: the component of that atom.
        place: number of its place.
        position: its position along the dim.
    """

    places: list[tuple[str, int]]
    atom: Tensor
    component: Tensor
    place: Tensor
    position: Tensor

    @classmethod
    def of(cls, walk: Propagation, root: Tensor) -> _Table:
        places: list[tuple[str, int]] = []
        atom, place, position = [], [], []
        for name in sorted(walk.owned, key=lambda n: (walk.first_use.get(n, len(walk.labels)), n)):
            for dim, own in enumerate(walk.owned[name]):
                if own is not None:
                    atom.append(own)
                    place.append(torch.full((len(own),), len(places)))
                    position.append(torch.arange(len(own)))
                    places.append((name, dim))
        empty = torch.zeros(0, dtype=torch.long)
        atoms, place_, position_ = (torch.cat(x) if x else empty for x in (atom, place, position))
        return cls(places, atoms, root[atoms], place_, position_)

    def signatures(self, count: int) -> Tensor:
        """For every component a number that says in which places it has how many entries; `(count,)`."""
        salt = torch.randint(2**40, (len(self.places),), generator=generator(0, "places"))
        return torch.zeros(count, dtype=torch.long).scatter_add_(0, self.component, salt[self.place])

    def together(self, signature: Tensor) -> list[Tensor]:
        """Components with equal signatures; groups and the units within them in order of first appearance."""
        count = len(signature)
        first = torch.full((count,), len(self.component)).scatter_reduce_(
            0, self.component, torch.arange(len(self.component)), "amin"
        )
        present = self.component.unique()
        present = present[torch.argsort(first[present])]
        _, sign, counts = signature[present].unique(return_inverse=True, return_counts=True)
        begin = torch.full_like(counts, len(present)).scatter_reduce_(0, sign, torch.arange(len(present)), "amin")
        order = torch.argsort(begin)
        units = present[torch.argsort(begin[sign], stable=True)]
        return list(units.split(counts[order].tolist()))

    def slots(self, number: Tensor, unit: Tensor, parts: Tensor, units: list[int]) -> list[tuple[Slot, ...]]:
        """Every place where the units of each group live, with the entries of each unit.

        Args:
            number: of the group of every component, -1 where it belongs to none.
            unit: number of every component within its group.
            parts: for every atom the part it plays (`Atoms.role_of`).
            units: how many each group has.
        """
        rows = (number[self.component] >= 0).nonzero().flatten()
        place = number[self.component] * len(self.places) + self.place
        by_unit = place[rows] * len(unit) + unit[self.component[rows]]
        rows = rows[torch.argsort(by_unit, stable=True)]  # by group and place, then by unit, then by position
        found, slot, sizes = torch.unique_consecutive(place[rows], return_inverse=True, return_counts=True)
        part = torch.full((len(found),), -1).scatter_reduce_(0, slot, parts[self.atom[rows]], "amax")
        slots: list[list[Slot]] = [[] for _ in units]
        entries = self.position[rows].split(sizes.tolist())
        for at, best, index in zip(found.tolist(), part.tolist(), entries, strict=True):
            group, (name, dim) = at // len(self.places), self.places[at % len(self.places)]
            slots[group].append(Slot(name, dim, strongest(best), index.view(units[group], -1)))
        return [tuple(each) for each in slots]


def _kind(walk: Propagation, slots: tuple[Slot, ...]) -> Kind:
    """Filters if a tensor of more than two dims makes any of the units."""
    sides = [len(walk.owned[s.tensor]) for s in slots if s.role is Role.PRODUCES]
    return Kind.NEURONS if sides and max(sides) == 2 else Kind.CHANNELS


#: Names of parameters from which torch's weight and spectral norm, and parametrisations, compute another.
_COMPUTED = re.compile(r"(?<![^.])(?:parametrizations\.(\w+)\.original\d?|(weight\w*?)_(?:g|v|orig))$")


def _name(slots: tuple[Slot, ...], taken: Mapping[str, Group]) -> str:
    """The first producer gives the name; a second group of the same producer gets a number."""
    makers = [s for s in slots if s.role is Role.PRODUCES]
    tensor = _COMPUTED.sub(lambda found: found[1] or found[2], (makers or list(slots))[0].tensor)
    module, _, leaf = tensor.rpartition(".")
    name = module if module and leaf in ("weight", "bias") else tensor
    name += "" if makers or any(s.role is not Role.CONSUMES for s in slots) else ".inputs"
    numbers = (f"{name}#{n}" for n in range(2, len(taken) + 3))
    return name if name not in taken else next(n for n in numbers if n not in taken)
