"""S8 and S13: budgets are met, leave no room, and nothing is emptied."""

import pytest

from secateur.allocation import ALLOCATIONS
from secateur.core.budget import UNITS_OF_BUDGET, Budget
from secateur.criteria import Magnitude, Random
from secateur.evidence import collect
from secateur.granularity import Channel, Layer
from secateur.planning import score
from secateur.testing.models import TINY
from secateur.testing.system import check_budget, check_budget_of_modules, prepare

ALLOCATIONS_ = [one for kind in ALLOCATIONS.values() for one in kind.examples()]


@pytest.mark.parametrize("allocation", ALLOCATIONS_, ids=repr)
@pytest.mark.parametrize("name", TINY)
def test_budget_is_met_and_used_up(name, allocation):
    prepared = prepare(TINY[name])
    for of in UNITS_OF_BUDGET:
        for keep in (0.05, 0.5, 0.93):
            for multiple in (1, 4):
                check_budget(prepared, Random(), Budget(keep, of=of), allocation, multiple)


@pytest.mark.parametrize("allocation", ALLOCATIONS_, ids=repr)
@pytest.mark.parametrize("name", [name for name, network in TINY.items() if network.blocks])
def test_budget_of_modules_is_met_and_used_up(name, allocation):
    prepared = prepare(TINY[name])
    for criterion in (Random(), Magnitude()):
        for of in UNITS_OF_BUDGET:
            for keep in (0.05, 0.5, 0.7, 0.93):
                for minimum in (0, 2):
                    check_budget_of_modules(prepared, criterion, Budget(keep, of), Layer(minimum=minimum), allocation)


@pytest.mark.parametrize("allocation", ALLOCATIONS_, ids=repr)
def test_whole_budget_keeps_all(allocation):
    prepared = prepare(TINY["dense"])
    plan = prepared.plan(Magnitude(), Channel(), Budget(1.0), allocation)
    if not allocation.fills:
        evidence = collect(prepared.model, None, Magnitude.needs, graph=prepared.graph)
        values = score(prepared.graph, Magnitude(), evidence).values
        assert all(float(values[name][~keep].sum()) == 0 for name, keep in plan.kept.items())
        return
    assert all(plan.width(name) == group.units for name, group in prepared.graph.cuttable.items())
