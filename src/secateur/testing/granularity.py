"""The contract of granularities."""

from __future__ import annotations

import torch
from torch import Tensor

from secateur.core.budget import Budget
from secateur.core.contracts import Block, Granularity
from secateur.core.errors import BudgetError
from secateur.core.rng import generator
from secateur.core.scores import Scope, Scores
from secateur.planning import plan
from secateur.planning.select import select
from secateur.testing import case as cases
from secateur.testing.case import Case
from secateur.testing.criterion import check_value


class GranularityContract:
    """What every granularity promises. Subclass it, and parametrise `granularity` or define it as a fixture."""

    def test_blocks(self, granularity: Granularity) -> None:
        """Blocks have names, at least one unit and known tensors; they know their group or their modules, if any."""
        for subject in _subjects(granularity):
            blocks = granularity.blocks(subject.graph)
            assert len({block.name for block in blocks}) == len(blocks)
            for block in blocks:
                assert block.units >= 1
                assert 0 <= block.minimum <= block.units
                assert block.tensors
                assert set(block.tensors) <= set(subject.graph.tensors)
                assert (block.group is not None) == (granularity.structured and not granularity.modular)
                assert block.group is None or not block.group.pinned
                assert len(block.modules) == (block.units if granularity.modular else 0)
                assert set(block.modules) <= set(subject.graph.blocks)
                assert block.units % block.rows == 0

    def test_patterns(self, granularity: Granularity) -> None:
        """Where units are chosen in runs, limits are the same for every run, and a plan keeps as many of each."""
        for subject, block in _blocks(granularity):
            assert block.minimum <= _most(block) <= block.units
            if not block.run:
                continue
            runs = block.units // block.run
            assert (block.units % block.run, block.minimum % runs, _most(block) % runs) == (0, 0, 0)
            values = {b.name: _noise(b) for b in granularity.blocks(subject.graph)}
            made = plan(subject.graph, Scores(values, granularity, "noise", Scope.GLOBAL), Budget(1.0, "weights"))
            kept = made.kept[block.name].view(runs, block.run)
            assert bool((kept.sum(1) == _most(block) // runs).all())
            assert torch.equal(kept, select(values[block.name], _most(block), block.run).view(runs, block.run))

    def test_budget_counts_entries(self, granularity: Granularity) -> None:
        """What a plan says that it keeps is what its masks keep, entry by entry, where shapes stay."""
        if granularity.structured:
            return
        for subject in _subjects(granularity):
            values = {b.name: _noise(b) for b in granularity.blocks(subject.graph)}
            scores = Scores(values, granularity, "noise", Scope.GLOBAL)
            try:
                made = plan(subject.graph, scores, Budget(0.9, "weights"))
            except BudgetError as error:  # few of its weights divide into such units
                assert error.reachable is not None
                made = plan(subject.graph, scores, Budget(error.reachable * (1 + 1e-9), "weights"))
            gone = sum(int((~mask).sum()) for mask in made.masks().values())
            whole = sum(p.numel() for p in subject.model.parameters() if p.ndim > 1)
            assert abs(made.provenance.reached * whole - (whole - gone)) < 1e-6

    def test_omitted(self, granularity: Granularity) -> None:
        """Tensors that are left whole are known, stand in no block, and say why."""
        for subject in _subjects(granularity):
            omitted = granularity.omitted(subject.graph)
            assert set(omitted) <= set(subject.graph.tensors)
            assert not {n for b in granularity.blocks(subject.graph) for n in b.tensors} & set(omitted)
            assert all(omitted.values())

    def test_units_partition_entries(self, granularity: Granularity) -> None:
        """No entry belongs to two units of a block, and every unit owns some."""
        for subject, block in _blocks(granularity):
            owned = [_owned(granularity, subject, block, unit) for unit in range(block.units)]
            for name in set().union(*owned):
                times = torch.stack([one[name] for one in owned if name in one]).sum(0)
                assert int(times.max()) == 1
            assert all(any(bool(mine.any()) for mine in one.values()) for one in owned)

    def test_reduce_counts_ones(self, granularity: Granularity) -> None:
        """The score of a unit under saliencies of one is the number of its entries."""
        for subject, block in _blocks(granularity):
            found = granularity.reduce(block, {n: torch.ones(_shape(subject, n)) for n in block.tensors})
            assert tuple(found.shape) == (block.units,)
            for unit in range(block.units):
                owned = _owned(granularity, subject, block, unit)
                assert float(found[unit]) == sum(int(owned[n].sum()) for n in block.tensors if n in owned)

    def test_reduce_leaves_saliency_alone(self, granularity: Granularity) -> None:
        """Saliencies are not written to, and zero stays zero."""
        for subject, block in _blocks(granularity):
            zeros = {n: torch.zeros(_shape(subject, n)) for n in block.tensors}
            assert not bool(granularity.reduce(block, zeros).any())
            assert all(t._version == 0 for t in zeros.values())  # noqa: SLF001  torch's own write counter

    def test_expand_and_back(self, granularity: Granularity) -> None:
        """The masks of any choice are true on all entries of the units that stay, and false on all others."""
        for subject, block in _blocks(granularity):
            keep = torch.rand(block.units, generator=generator(0, block.name)) < 0.5
            keep[0], keep[-1] = True, block.units == 1
            before = keep.clone()
            masks = granularity.expand(subject.graph, block, keep)
            assert torch.equal(keep, before)
            for unit in range(block.units):
                for name, mine in _owned(granularity, subject, block, unit).items():
                    mask = masks.get(name, torch.ones_like(mine))  # what has no mask is not silenced
                    assert mask.dtype == torch.bool
                    assert tuple(mask.shape) == _shape(subject, name)
                    assert bool((mask[mine] == keep[unit]).all())

    def test_expand_all(self, granularity: Granularity) -> None:
        """Keeping everything silences nothing."""
        for subject, block in _blocks(granularity):
            masks = granularity.expand(subject.graph, block, torch.ones(block.units, dtype=torch.bool))
            assert all(bool(mask.all()) for mask in masks.values())

    def test_silences_parameters_only(self, granularity: Granularity) -> None:
        """Masks are for parameters: buffers follow a cut, but cannot be masked."""
        for subject, block in _blocks(granularity):
            assert set(_owned(granularity, subject, block, 0)) <= set(dict(subject.model.named_parameters()))

    def test_value(self, granularity: Granularity) -> None:
        """A granularity is a value: its repr makes it again; it pickles, hashes and copies."""
        check_value(granularity)


def _subjects(granularity: Granularity) -> list[Case]:
    """The networks in which there is something to cut, one at least."""
    every = (cases.normed(), cases.residual(), cases.attentive(granularity.heads))
    found = [subject for subject in every if granularity.blocks(subject.graph)]
    assert found, f"{granularity!r} has no blocks in networks of convolutions, of residual blocks, of attention"
    return found


def _blocks(granularity: Granularity) -> list[tuple[Case, Block]]:
    return [(subject, block) for subject in _subjects(granularity) for block in granularity.blocks(subject.graph)]


def _most(block: Block) -> int:
    return block.units if block.maximum is None else block.maximum


def _noise(block: Block) -> Tensor:
    return torch.rand(block.units, generator=generator(1, block.name), dtype=torch.float64)


def _owned(granularity: Granularity, subject: Case, block: Block, unit: int) -> dict[str, Tensor]:
    """The entries that go when `unit` goes alone, as boolean masks by parameter."""
    keep = torch.arange(block.units) != unit
    return {name: ~mask for name, mask in granularity.expand(subject.graph, block, keep).items()}


def _shape(subject: Case, tensor: str) -> tuple[int, ...]:
    return tuple(axis.size(subject.graph.full) for axis in subject.graph.tensors[tensor].axes)
