"""The contract of allocations."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from secateur.core.budget import UNITS_OF_BUDGET, Budget
from secateur.core.contracts import Allocation, Block, Granularity
from secateur.core.errors import BudgetError
from secateur.core.groups import ChannelGraph
from secateur.core.rng import generator
from secateur.core.scores import Scope, Scores
from secateur.granularity import Channel, Layer, Weight
from secateur.graph.cost import cost
from secateur.planning import Constraints, plan
from secateur.planning.limits import Choices
from secateur.testing import case as cases
from secateur.testing.criterion import check_value

_SHARES = (0.15, 0.3, 0.61, 0.99)


class AllocationContract:
    """What every allocation promises. Subclass it, and parametrise `allocation` or define it as a fixture."""

    def test_meets_the_budget(self, allocation: Allocation) -> None:
        """The cost is within the budget, whatever the scores, and every count is an allowed one."""
        for granularity in (Channel(), Weight()):
            for values in (_noise(granularity), _levels(granularity), _constant(granularity)):
                for of in UNITS_OF_BUDGET:
                    for share in _SHARES:
                        limits = _limits(granularity, Budget(share, of))
                        if limits.fits(limits.least):
                            _check_allowed(allocation.counts(_scores(granularity, values), limits), limits)

    def test_respects_multiples(self, allocation: Allocation) -> None:
        """Kept counts divide by the multiple, or the block keeps all."""
        limits = _limits(Channel(), Budget(0.7, "macs"), multiple=4)
        counts = allocation.counts(_scores(Channel(), _noise(Channel())), limits)
        _check_allowed(counts, limits)
        assert all(n % 4 == 0 or n == limits.blocks[name] for name, n in counts.items())

    def test_leaves_no_room(self, allocation: Allocation) -> None:
        """Adding back the next unit of any block would exceed the budget, or it scores zero and the rest is all in."""
        for values in (_noise(Channel()), _levels(Channel()), _constant(Channel())):
            for of in UNITS_OF_BUDGET:
                for share in _SHARES:
                    limits = _limits(Channel(), Budget(share, of))
                    if limits.fits(limits.least):
                        counts = allocation.counts(_scores(Channel(), values), limits)
                        if allocation.fills or not _only_zeros_go(values, counts):
                            _check_tight(counts, limits)

    def test_all_is_all(self, allocation: Allocation) -> None:
        """A budget of one keeps everything."""
        for granularity in (Channel(), Weight()):
            limits = _limits(granularity, Budget(1.0, "macs"))
            assert dict(allocation.counts(_scores(granularity, _noise(granularity)), limits)) == dict(limits.blocks)

    def test_more_budget_keeps_more(self, allocation: Allocation) -> None:
        """A larger budget of units never keeps fewer of them in total."""
        for values in (_noise(Channel()), _levels(Channel()), _constant(Channel())):
            scores = _scores(Channel(), values)
            totals = [
                sum(allocation.counts(scores, _limits(Channel(), Budget(step / 40, "units"))).values())
                for step in range(9, 41, 2)
            ]
            assert totals == sorted(totals)

    def test_order_of_blocks_does_not_matter(self, allocation: Allocation) -> None:
        """Blocks in reverse order keep the same numbers, ties included."""
        for values in (_noise(Channel()), _levels(Channel()), _constant(Channel())):
            scores = _scores(Channel(), values)
            backwards = _scores(Channel(), dict(reversed(values.items())))
            for share in _SHARES:
                forth = allocation.counts(scores, _limits(Channel(), Budget(share, "units"), least=True))
                back = allocation.counts(
                    backwards, _limits(Channel(), Budget(share, "units"), least=True, reverse=True)
                )
                assert dict(forth) == dict(back)

    def test_whole_modules(self, allocation: Allocation) -> None:
        """Where units cost unequally much, the budget is met and none that went could come back."""
        graph = cases.residual().graph
        block = Layer().blocks(graph)[0]
        for values in ([3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [0.0, 5.0, 0.0]):
            scores = Scores({block.name: torch.tensor(values).double()}, Layer(), "by hand", Scope.GLOBAL)
            for of in UNITS_OF_BUDGET:
                for share in (0.5, 0.7, 0.9, 1.0):
                    gone = plan(graph, scores, Budget(share, of), allocation).removed
                    back = [
                        one
                        for one, value in zip(graph.blocks, values, strict=True)
                        if one in gone and (allocation.fills or value)
                    ]  # a zero that went need not come back
                    assert _left(graph, block, gone, of) <= share * (1 + 1e-12)
                    for one in back:
                        assert _left(graph, block, tuple(n for n in gone if n != one), of) > share * (1 + 1e-12)

    def test_impossible_budget(self, allocation: Allocation) -> None:
        """A budget below every minimum raises `BudgetError`, which tells what can be reached and so can be met."""
        subject = cases.normed(9, 8)
        scores = _scores(Channel(), _noise(Channel()))
        rules = Constraints(multiple=4)
        try:
            plan(subject.graph, scores, Budget(0.01, "macs"), allocation, constraints=rules)
        except BudgetError as error:
            assert error.reachable is not None
            made = plan(subject.graph, scores, Budget(error.reachable, "macs"), allocation, constraints=rules)
            assert made.provenance.reached <= error.reachable * (1 + 1e-12)
        else:
            raise AssertionError("a budget of 1 % was met with 4 of 9 and 4 of 8 channels at least")

    def test_reads_only(self, allocation: Allocation) -> None:
        """Scores are not written to; the same scores give the same counts."""
        values = _noise(Channel())
        scores = _scores(Channel(), values)
        versions = [t._version for t in values.values()]  # noqa: SLF001  torch's own write counter
        limits = _limits(Channel(), Budget(0.5, "macs"))
        assert dict(allocation.counts(scores, limits)) == dict(allocation.counts(scores, limits))
        assert [t._version for t in values.values()] == versions  # noqa: SLF001

    def test_value(self, allocation: Allocation) -> None:
        """An allocation is a value: its repr makes it again; it pickles, hashes and copies."""
        check_value(allocation)


def _left(graph: ChannelGraph, block: Block, gone: tuple[str, ...], of: str) -> float:
    """The share of the cost that is left without the modules `gone`."""
    if of == "units":
        return 1 - len(gone) / block.units
    return cost(graph.without(gone)).of(of) / cost(graph).of(of)


def _check_allowed(counts: Mapping[str, int], limits: Choices) -> None:
    assert set(counts) == set(limits.blocks)
    assert limits.fits(counts), (dict(counts), limits.spent(counts) / limits.whole, limits.budget)
    for name, count in counts.items():
        assert limits.least[name] <= count <= limits.ceiling[name]
        assert limits.round(name, count) == count


def _only_zeros_go(values: Mapping[str, Tensor], counts: Mapping[str, int]) -> bool:
    return all(count >= int((values[name] > 0).sum()) for name, count in counts.items())


def _check_tight(counts: Mapping[str, int], limits: Choices) -> None:
    for name, count in counts.items():
        more = limits.next_up(name, count)
        assert more == count or not limits.fits({**counts, name: more})


def _blocks(granularity: Granularity) -> dict[str, Block]:
    return {block.name: block for block in granularity.blocks(cases.normed(9, 8).graph)}


def _limits(
    granularity: Granularity, budget: Budget, *, multiple: int = 1, reverse: bool = False, least: bool = False
) -> Choices:
    """Limits of the test network; with `least`, a budget that is out of reach is raised to the least one."""
    graph, blocks = cases.normed(9, 8).graph, _blocks(granularity)
    if reverse:
        blocks = dict(reversed(blocks.items()))
    made = Choices(graph, budget, blocks, {}, {n: b.units for n, b in blocks.items()}, multiple)
    if least and not made.fits(made.least):
        return _limits(granularity, Budget(made.spent(made.least) / made.whole, budget.of), reverse=reverse)
    return made


def _scores(granularity: Granularity, values: Mapping[str, Tensor]) -> Scores:
    return Scores(values, granularity, "by hand", Scope.GLOBAL)


def _noise(granularity: Granularity) -> dict[str, Tensor]:
    return {
        n: torch.rand(b.units, generator=generator(0, n), dtype=torch.float64) for n, b in _blocks(granularity).items()
    }


def _levels(granularity: Granularity) -> dict[str, Tensor]:
    """Many ties, zeros among them."""
    return {name: (values * 3).floor() for name, values in _noise(granularity).items()}


def _constant(granularity: Granularity) -> dict[str, Tensor]:
    return {name: torch.ones_like(values) for name, values in _noise(granularity).items()}
