"""PruningPlan: the decision, as a value that can be composed, hashed, written to JSON and applied elsewhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from secateur.core.contracts import Block, Granularity
from secateur.core.errors import IncompatibleError, UnknownNameError
from secateur.core.groups import ChannelGraph, fingerprint
from secateur.core.whereabouts import known, whereabouts


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a plan came from: enough to make it again.

    Attributes:
        criterion: `repr` of the criterion, or "by hand".
        allocation: `repr` of the allocation, or "by hand".
        budget: what was asked for, in words.
        reached: the fraction of the budget's unit that the plan keeps.
        seed: random seed of the run.
        version: library version.
        asked: block name to the fraction of its units that the allocation asked for, before whole units, multiples
            and minimums had their say; blocks that it did not decide about are missing.
        frozen: blocks that were not to be cut.
    """

    criterion: str = "by hand"
    allocation: str = "by hand"
    budget: str = ""
    reached: float = 1.0
    seed: int = 0
    version: str = ""
    asked: Mapping[str, float] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PruningPlan:
    """Which units stay.

    Attributes:
        kept: block name to boolean `(units,)`, True = stays; a block not named keeps everything.
        granularity: what one unit is.
        graph: the structure the plan speaks about, as data; a plan needs no model.
        provenance: where the plan came from.
    """

    kept: Mapping[str, Tensor]
    granularity: Granularity
    graph: ChannelGraph
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def is_structured(self) -> bool:
        """Whether whole units go, so that the network can be made physically smaller."""
        return self.granularity.structured

    @property
    def blocks(self) -> Sequence[Block]:
        """Everything that the plan could have cut."""
        return self.granularity.blocks(self.graph)

    @property
    def channels(self) -> dict[str, Tensor]:
        """What shrinking narrows: group name to boolean `(units,)`, True = stays."""
        return dict(self.kept) if self.is_structured and not self.granularity.modular else {}

    @property
    def removed(self) -> tuple[str, ...]:
        """The modules that shrinking takes out as a whole."""
        kept = [(b, self.kept[b.name].tolist()) for b in self.blocks if b.modules and b.name in self.kept]
        return tuple(m for b, stays in kept for m, stay in zip(b.modules, stays, strict=True) if not stay)

    @property
    def left(self) -> ChannelGraph:
        """The graph without the modules that the plan takes out; groups still have their full width."""
        return self.graph.without(self.removed)

    def width(self, block: str) -> int:
        """How many units of `block` stay."""
        if block in self.kept:
            return int(self.kept[block].sum())
        return self._block(block).units

    def keep(self, block: str, units: Sequence[int] | Tensor) -> PruningPlan:
        """The same plan, except that `block` keeps exactly `units`.

        A plan whose widths were changed by hand no longer claims to meet the budget that it was made for.

        Args:
            block: its name, that of the group's first producer. Other layers of the group are not accepted as names,
                since more would go than they say: a convolution in front of a sum takes everything with it that is
                added there. The error says which group it is.
            units: numbers of units, or a boolean for every unit.

        Raises:
            UnknownNameError: no such block; the message says where the name lives.
            IncompatibleError: the block is pinned, a unit does not exist, or too few are kept.
        """
        found = self._block(block)
        keep = torch.zeros(found.units, dtype=torch.bool)
        keep[_numbers(found, units)] = True
        _check_width(found, int(keep.sum()))
        _check_runs(found, keep)
        how = self.provenance
        if int(keep.sum()) != self.width(block):
            asked = {name: share for name, share in how.asked.items() if name != block}
            how = replace(how, asked=asked, budget="", reached=1.0, allocation=_then_by_hand(how))
        return replace(self, kept={**self.kept, block: keep}, provenance=how)

    def masks(self) -> dict[str, Tensor]:
        """Boolean mask of every parameter that the plan silences, by name, in the parameter's shape."""
        masks: dict[str, Tensor] = {}
        for block in self.blocks:
            keep = self.kept.get(block.name)
            if keep is None or bool(keep.all()):
                continue
            for name, mask in self.granularity.expand(self.graph, block, keep).items():
                masks[name] = masks[name] & mask if name in masks else mask
        return masks

    def then(self, later: PruningPlan) -> PruningPlan:
        """Both plans as one, in the coordinates of this plan; `later` was made for the network this plan leaves.

        Raises:
            IncompatibleError: `later` speaks of another granularity, or of widths that this plan does not leave.
        """
        if later.granularity != self.granularity:
            raise IncompatibleError(
                f"cannot compose plans of {self.granularity!r} and {later.granularity!r}. Apply them one after another."
            )
        kept = dict(self.kept)
        for name, keep in later.kept.items():
            before = self.kept.get(name, torch.ones(self._block(name).units, dtype=torch.bool))
            live = before if self.is_structured else torch.ones_like(before)
            if int(live.sum()) != keep.numel():
                raise IncompatibleError(
                    f"the later plan sees {keep.numel()} units in {name!r}, this plan leaves {int(live.sum())}. "
                    "Make the later plan from the shrunk network."
                )
            self._check_same_modules(name, before, later)
            after = torch.zeros_like(before)
            after[live] = keep
            kept[name] = after & before
        # What the later plan asked for is in fractions of widths that this one leaves, so it is not taken over.
        return replace(self, kept=kept, provenance=replace(later.provenance, asked={}, frozen=()))

    def _check_same_modules(self, name: str, before: Tensor, later: PruningPlan) -> None:
        """A later plan of whole modules must speak of those that are left, and not of as many others."""
        modules = self._block(name).modules
        left = tuple(m for m, stays in zip(modules, before.tolist(), strict=False) if stays)
        if left != later._block(name).modules:
            raise IncompatibleError(
                f"the later plan sees other modules in {name!r} than this plan leaves ({', '.join(left)}). "
                "Apply them one after another."
            )

    def check_fits(self, model: nn.Module) -> None:
        """Make sure that `model` has the structure that the plan was made for.

        Raises:
            IncompatibleError: names and shapes of its tensors differ from the traced model's.
        """
        found = fingerprint(model)
        if found != self.graph.fingerprint:
            raise IncompatibleError(
                f"this plan was made for a model with fingerprint {self.graph.fingerprint}, got one with {found}: "
                f"{_difference(model, self.graph)}. Apply it to a model of the same structure, or trace and plan again."
            )

    def digest(self) -> str:
        """Hash of what is kept where; equal plans have equal digests."""
        text = hashlib.sha256(f"{self.graph.fingerprint} {self.granularity!r}".encode())
        for block in self.blocks:
            keep = self.kept.get(block.name)
            if keep is not None and not bool(keep.all()):
                text.update(f"\n{block.name} ".encode() + bytes(keep.to(torch.uint8).tolist()))
        return text.hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PruningPlan) and self.digest() == other.digest() and self.graph == other.graph

    def __hash__(self) -> int:
        return hash(self.digest())

    def _block(self, name: str) -> Block:
        for block in self.blocks:
            if block.name == name:
                return block
        if name in self.graph.groups and self.graph.groups[name].pinned:
            raise IncompatibleError(f"{name!r} may not be cut: {self.graph.groups[name].pinned}.")
        names = [block.name for block in self.blocks]
        hint = whereabouts(self.graph, name, names)
        raise UnknownNameError(f"no block is called {name!r}.{' ' * bool(hint)}{hint} Known: {known(names)}.")


def _numbers(block: Block, units: Sequence[int] | Tensor) -> list[int]:
    """Numbers of units from numbers, or from a boolean for every unit."""
    found = units.tolist() if hasattr(units, "tolist") else list(units)  # arrays of numpy have it too
    if len(found) == block.units and all(isinstance(unit, bool) for unit in found):
        found = [number for number, stays in enumerate(found) if stays]
    whole = all(isinstance(unit, int) and not isinstance(unit, bool) for unit in found)
    if (not found and block.minimum) or not whole or min(found, default=0) < 0 or max(found, default=0) >= block.units:
        raise IncompatibleError(
            f"{block.name!r} has units 0 to {block.units - 1}, got {units!r}. Name at least one existing unit by its "
            f"number, or give {block.units} booleans."
        )
    return found


def _check_width(block: Block, width: int) -> None:
    least = max(block.group.minimum, block.minimum) if block.group else block.minimum
    step = block.group.multiple if block.group else 1
    if width < least or (width % step and width != block.units):
        raise IncompatibleError(
            f"{block.name!r} would keep {width} units, but must keep {least} or more, in multiples of {step}. "
            "Keep others too."
        )


def _check_runs(block: Block, keep: Tensor) -> None:
    """Where a pattern says how many of so many neighbours stay, as many must stay everywhere."""
    if block.run and block.maximum is not None and block.minimum == block.maximum:
        wanted = block.maximum * block.run // block.units
        wrong = (keep.view(-1, block.run).sum(1) != wanted).nonzero().flatten().tolist()
        if wrong:
            first = wrong[0] * block.run
            raise IncompatibleError(
                f"{block.name!r} must keep {wanted} of every {block.run} neighbours, and of units {first} to "
                f"{first + block.run - 1} other numbers were named. Name {wanted} of every {block.run}."
            )


def _then_by_hand(provenance: Provenance) -> str:
    """How many each block keeps, said of a plan that was changed by hand."""
    told = provenance.allocation
    return told if told.endswith("by hand") else f"{told}, then by hand"


def _difference(model: nn.Module, graph: ChannelGraph) -> str:
    """The first tensor in which the model differs from the traced one, in words."""
    shapes = {n: tuple(t.shape) for n, t in [*model.named_parameters(), *model.named_buffers()]}
    for name, axes in graph.tensors.items():
        wanted = tuple(a.size(graph.full) for a in axes.axes)
        if name not in shapes:
            return f"tensor {name!r} is missing"
        if shapes[name] != wanted:
            return f"tensor {name!r} is {list(shapes[name])}, not {list(wanted)}"
    extra = sorted(set(shapes) - set(graph.tensors))
    return f"unexpected tensors {json.dumps(extra[:3])}"
