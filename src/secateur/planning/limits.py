"""What an allocation may choose from: allowed widths, and whether a choice meets the budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import lcm

from secateur.core.budget import Budget
from secateur.core.contracts import Block, Limits
from secateur.core.groups import ChannelGraph
from secateur.graph.cost import cost_of
from secateur.planning.entries import Entries


@dataclass(frozen=True, slots=True)
class Choices(Limits):
    """Allowed counts per block under one budget.

    Attributes:
        graph: the structure, for costs.
        budget: what may remain.
        free: the blocks that may be cut, by name.
        frozen: blocks that are not cut now, with the units they have.
        ceiling: most units each free block may keep (fewer than it has after earlier rounds).
        multiple: kept counts divide by this, unless a block keeps everything or its units are whole modules.
        ranked: the modules of blocks whose units are whole modules, the last to go first.
        entries: what the units of blocks within weights hold; those not named hold one entry each.
        dense: the cost of the dense network, once it has been asked for.
    """

    graph: ChannelGraph
    budget: Budget
    free: Mapping[str, Block]
    frozen: Mapping[str, int]
    ceiling: Mapping[str, int]
    multiple: int = 1
    ranked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    entries: Mapping[str, Entries] = field(default_factory=dict)
    dense: list[int] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def blocks(self) -> Mapping[str, int]:
        """Units by block."""
        return {name: block.units for name, block in self.free.items()}

    def round(self, block: str, wanted: float) -> int:
        """The allowed count nearest to `wanted` from below, never less than the minimum."""
        if wanted >= self.ceiling[block]:
            return self.ceiling[block]
        step = self._step(block)
        return max(int(wanted + 1e-9) // step * step, self._minimum(block))

    def next_up(self, block: str, count: int) -> int:
        """The next allowed count above `count`."""
        step = self._step(block)
        return min(count // step * step + step, self.ceiling[block])

    def fits(self, counts: Mapping[str, int]) -> bool:
        """Whether the cost at `counts` is within the budget."""
        return self._affords(self.spent(counts))

    def shape(self, block: str) -> tuple[int, ...]:
        """The shape of the first tensor of the block."""
        return tuple(axis.size(self.graph.full) for axis in self.graph.tensors[self.free[block].tensors[0]].axes)

    @property
    def allowed(self) -> float:
        """The budget in whole numbers of its unit."""
        return self.budget.keep * self.whole * (1 + 1e-12)

    def topology(self, block: str) -> str:
        """Of a group, which dims of tensors of how many dims it takes part in, and how; of a weight, what reads it."""
        one, tensors = self.free[block], self.graph.tensors
        if one.group is not None:
            parts = Counter((slot.role.value, len(tensors[slot.tensor].axes), slot.dim) for slot in one.group.slots)
            return f"{one.group.kind.value} {sorted(parts.items())}"
        ops = sorted({op.name for op in self.graph.ops if op.weight in one.tensors})
        return f"{ops} {[len(tensors[name].axes) for name in one.tensors]} {len(one.modules) > 0}"

    def work(self, block: str) -> int:
        """Multiply-accumulates of the first tensor of the block."""
        first = self.free[block].tensors[0]
        return sum(op.macs(self.graph.full) for op in self.graph.ops if op.weight == first)

    def fits_without(self, gone: Sequence[str]) -> bool:
        """Whether the cost is within the budget once these modules are gone."""
        return self._affords(self.spent_without(gone))

    def spent(self, counts: Mapping[str, int]) -> int:
        """Cost at `counts`, in the budget's unit."""
        everything = {**self.frozen, **counts}
        if self.ranked:
            return self.spent_without([m for n, modules in self.ranked.items() for m in modules[everything[n] :]])
        if self._structured:
            return cost_of(self.graph, self.budget.of, everything)
        return self._sparse(everything)

    def spent_without(self, gone: Sequence[str]) -> int:
        """Cost once these modules are gone, in the budget's unit; where units are whole modules."""
        if self.budget.of == "units":
            return sum(len(modules) for modules in self.ranked.values()) - len(gone)
        return cost_of(self.graph.without(gone), self.budget.of)

    @property
    def whole(self) -> int:
        """Cost of the dense network, in the budget's unit."""
        if not self.dense:  # a search asks for it at every step
            self.dense.append(self._whole())
        return self.dense[0]

    def _whole(self) -> int:
        if self.ranked:
            return self.spent_without(())
        if self.budget.of == "units" and not self._structured:
            return sum(self._units(name) for name in (*self.free, *self.frozen))
        return cost_of(self.graph, self.budget.of)

    @property
    def least(self) -> dict[str, int]:
        """The smallest allowed counts."""
        return {name: self._minimum(name) for name in self.free}

    @property
    def _structured(self) -> bool:
        return all(block.group is not None for block in self.free.values())

    def _affords(self, spent: int) -> bool:
        return spent <= self.allowed

    def _sparse(self, counts: Mapping[str, int]) -> int:
        """Cost with parts of weights removed: a multiply-accumulate counts if its weight is there."""
        if self.budget.of == "units":
            return sum(counts.values())
        full = self.graph.full
        dense = {name: self.graph.tensors[name].numel(full) for name in counts}
        left = {name: self.entries[name].of(n) if name in self.entries else n for name, n in counts.items()}
        if self.budget.of == "macs":
            macs = [(op.weight, op.macs(full)) for op in self.graph.ops]
            return sum(n * left[name] // dense[name] if name in left else n for name, n in macs)
        return cost_of(self.graph, self.budget.of) - sum(dense[name] - left[name] for name in left)

    def _units(self, name: str) -> int:
        """Units of a block within a weight."""
        return self.entries[name].units if name in self.entries else self.graph.tensors[name].numel(self.graph.full)

    def _step(self, block: str) -> int:
        one = self.free[block]
        if one.run:
            return one.units // one.run  # every run keeps equally many
        return 1 if one.modules else lcm(self.multiple, one.group.multiple if one.group else 1)

    def _minimum(self, block: str) -> int:
        step, group = self._step(block), self.free[block].group
        minimum = max(self.free[block].minimum, group.minimum if group else 0)
        return min(-(-minimum // step) * step, self.ceiling[block])
