"""PruningPlan: the decision, as a value that can be composed, hashed, written to JSON and applied elsewhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from secateur.core.contracts import Block, Granularity
from secateur.core.errors import IncompatibleError, UnknownNameError
from secateur.core.groups import ChannelGraph, fingerprint


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
    """

    criterion: str = "by hand"
    allocation: str = "by hand"
    budget: str = ""
    reached: float = 1.0
    seed: int = 0
    version: str = ""


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
    provenance: Provenance = Provenance()

    @property
    def is_structured(self) -> bool:
        """Whether whole units go, so that the network can be made physically smaller."""
        return self.granularity.structured

    @property
    def blocks(self) -> Sequence[Block]:
        """Everything that the plan could have cut."""
        return self.granularity.blocks(self.graph)

    def width(self, block: str) -> int:
        """How many units of `block` stay."""
        if block in self.kept:
            return int(self.kept[block].sum())
        return self._block(block).units

    def keep(self, block: str, units: Sequence[int]) -> PruningPlan:
        """The same plan, except that `block` keeps exactly `units`.

        Raises:
            UnknownNameError: no such block.
            IncompatibleError: the block is pinned, a unit does not exist, or too few are kept.
        """
        found = self._block(block)
        wanted = torch.tensor(sorted(set(units)), dtype=torch.long)
        low, high = (int(wanted.min()), int(wanted.max())) if len(wanted) else (0, 0)
        if not len(wanted) or low < 0 or high >= found.units:
            raise IncompatibleError(
                f"{block!r} has units 0 to {found.units - 1}, got {list(units)!r}. Name at least one existing unit."
            )
        minimum = self.graph.groups[block].minimum if block in self.graph.groups else 1
        if len(wanted) < minimum:
            raise IncompatibleError(f"{block!r} must keep at least {minimum} units, got {list(units)!r}. Name more.")
        keep = torch.zeros(found.units, dtype=torch.bool)
        keep[wanted] = True
        return replace(self, kept={**self.kept, block: keep})

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
            after = torch.zeros_like(before)
            after[live] = keep
            kept[name] = after & before
        return replace(self, kept=kept, provenance=later.provenance)

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
        if name in self.graph.groups:
            raise IncompatibleError(f"{name!r} may not be cut: {self.graph.groups[name].pinned}.")
        raise UnknownNameError(f"no block is called {name!r}. Known: {', '.join(b.name for b in self.blocks)}.")


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
