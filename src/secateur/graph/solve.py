"""Components of joined atoms become units, units with the same places become groups, and all lengths become axes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from secateur.graph.attributes import standard_attributes
from secateur.graph.labels import strongest
from secateur.graph.propagate import Propagation


@dataclass(slots=True)
class Solution:
    """The groups of a propagation, and where each atom went.

    Attributes:
        groups: by name, in order of first use.
        group_of: for every atom the number of its group, -1 where it belongs to none.
        unit_of: for every atom the number of its unit within the group.
    """

    groups: dict[str, Group]
    group_of: Tensor
    unit_of: Tensor

    def axis(self, labels: Tensor | None, size: int) -> Axis | None:
        """The length of a dim as a function of widths; None where it is not one (units of unequal share)."""
        if labels is None:
            return Axis(size)
        groups = self.group_of[labels]
        names = list(self.groups)
        terms, fixed = [], int((groups < 0).sum())
        for number in groups[groups >= 0].unique().tolist():
            group = self.groups[names[number]]
            count = torch.bincount(self.unit_of[labels[groups == number]], minlength=group.units)
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
        stays = torch.ones(len(labels), dtype=torch.bool)
        groups = self.group_of[labels]
        for number, name in enumerate(self.groups):
            if name in kept:
                mine = groups == number
                stays[mine] = kept[name][self.unit_of[labels[mine]]]
        return int(stays.sum())


def solve(walk: Propagation) -> Solution:
    """Group the atoms of a propagation."""
    atoms = walk.atoms
    root = atoms.components()
    reasons = _reasons(walk, root)
    table = _Table.of(walk, root)
    signature = table.signatures(atoms.count)
    salt = {why: hash_of(why) for why in set(reasons.values())}
    for atom, why in reasons.items():
        signature[atom] += salt[why]  # pinned units never share a group with units that may go
    parts, live, kinds = atoms.role_of(), _live(walk, root), atoms.kind_of(root)
    groups: dict[str, Group] = {}
    group_of = torch.full((atoms.count,), -1)
    unit_of = torch.full((atoms.count,), -1)
    for units in table.groups(signature):
        pinned = reasons.get(int(units[0]))
        if pinned == "":
            continue
        slots = table.slots(units, parts, atoms.count)
        name = _name(slots, groups)
        kind = kinds.get(int(units[0])) or _kind(walk, slots)
        groups[name] = Group(name, len(units), slots, exact=int(units[0]) not in live, pinned=pinned or "", kind=kind)
        numbers = torch.full((atoms.count,), -1)
        numbers[units] = torch.arange(len(units))
        mine = numbers[root] >= 0
        group_of[mine], unit_of[mine] = len(groups) - 1, numbers[root][mine]
    solution = Solution(groups, group_of, unit_of)
    _limit_(solution, walk.atoms.minima)
    return solution


def _limit_(solution: Solution, minima: list[tuple[Tensor, int, str]]) -> None:
    """Set the smallest widths that groups may keep; a group that could lose nothing is pinned."""
    reasons = dict.fromkeys(solution.groups, "has one unit only, and every group keeps one")
    for labels, least, why in minima:
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
        if not group.pinned and group.minimum >= group.units:
            solution.groups[name] = replace(group, pinned=reasons[name])


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
        attributes=standard_attributes(model, tensors) + _kept_sizes(walk, solution, tensors),
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


def _reasons(walk: Propagation, root: Tensor) -> dict[int, str]:
    """Component to why it is pinned. The first telling reason wins; empty ones mark dims nobody would cut."""
    reasons: dict[int, str] = {}
    for atoms, why in walk.atoms.pins:
        for atom in root[atoms[atoms > 0]].unique().tolist():
            if not reasons.get(atom):
                reasons[atom] = why
    return reasons


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

    def groups(self, signature: Tensor) -> list[Tensor]:
        """Components with equal signatures; groups and the units within them in order of first appearance."""
        count = len(signature)
        first = torch.full((count,), len(self.component)).scatter_reduce_(
            0, self.component, torch.arange(len(self.component)), "amin"
        )
        present = self.component.unique()
        present = present[torch.argsort(first[present])]
        together: dict[int, list[int]] = {}
        for component, sign in zip(present.tolist(), signature[present].tolist(), strict=True):
            together.setdefault(sign, []).append(component)
        return [torch.tensor(units) for units in together.values()]

    def slots(self, units: Tensor, parts: Tensor, count: int) -> tuple[Slot, ...]:
        """Every place where the units of a group live, with the entries of each unit."""
        number = torch.full((count,), -1)
        number[units] = torch.arange(len(units))
        rows = (number[self.component] >= 0).nonzero().flatten()
        slots = []
        for place in self.place[rows].unique().tolist():
            mine = rows[self.place[rows] == place]
            unit, position = number[self.component[mine]], self.position[mine]
            order = torch.argsort(unit * (int(position.max()) + 1) + position)
            name, dim = self.places[place]
            index = position[order].view(len(units), -1)
            slots.append(Slot(name, dim, strongest(parts[self.atom[mine]]), index))
        return tuple(slots)


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
