"""S1 for every criterion, granularity and tiny network, with the plans that the library makes; S2 for a few of them."""

from itertools import product

import pytest

from secateur.allocation import ALLOCATIONS
from secateur.core.budget import Budget
from secateur.core.contracts import Criterion, ModuleCriterion, UnitCriterion
from secateur.core.errors import IncompatibleError
from secateur.criteria import CRITERIA
from secateur.granularity import GRANULARITIES, Channel, Layer, Weight
from secateur.testing.models import TINY
from secateur.testing.system import (
    check_masked_is_shrunk,
    check_masks_once,
    check_trains_alike,
    check_written_and_read,
    prepare,
)

CRITERIA_ = [one for kind in CRITERIA.values() for one in kind.examples()]
# Kinds of channels (heads, neurons, …) are channels of some groups: tests/granularity/test_kinds.py.
UNITS = [one for kind in GRANULARITIES.values() for one in kind.examples() if type(one) in (Channel, Layer, Weight)]
ALLOCATIONS_ = [one for kind in ALLOCATIONS.values() for one in kind.examples()]
ALL = [
    (name, criterion, unit)
    for name, criterion, unit in product(TINY, CRITERIA_, UNITS)
    if (not unit.modular or TINY[name].blocks)
    and ((unit.structured and not unit.modular) or not isinstance(criterion, UnitCriterion))
    and (unit.modular or not isinstance(criterion, ModuleCriterion))
]

#: How criteria say that they do not know all parameters, or all groups.
EXCUSES = (
    "has no normalisation scale",
    "ends in no batch norm",
    "none was seen reading group",
    "no output to reconstruct",
    "knows nothing of",
    "that was seen to run consumes",
    "no parameter consumes",
    "may be ranked within rows only",
)


def made(name, criterion, granularity, allocation, keep=0.7):
    prepared = prepare(TINY[name])
    try:
        return prepared, prepared.plan(criterion, granularity, Budget(keep, of="weights"), allocation)
    except IncompatibleError as error:
        assert any(excuse in str(error) for excuse in EXCUSES)
        pytest.skip(str(error))


def name_of(value: object) -> str:
    return repr(value)


@pytest.mark.parametrize(("name", "criterion", "granularity"), ALL, ids=name_of)
def test_masked_is_shrunk(name, criterion: Criterion, granularity):
    # every allocation has its turn without multiplying the number of tests by their number
    allocation = ALLOCATIONS_[len(name + repr(criterion)) % len(ALLOCATIONS_)]
    prepared, plan = made(name, criterion, granularity, allocation)
    check_masked_is_shrunk(prepared.model, plan, prepared.examples[:2])


@pytest.mark.parametrize("allocation", ALLOCATIONS_, ids=name_of)
@pytest.mark.parametrize("criterion", [c for c in CRITERIA_ if not isinstance(c, ModuleCriterion)], ids=name_of)
@pytest.mark.parametrize("name", ["chain", "attention"])
def test_every_allocation(name, criterion, allocation):
    prepared, plan = made(name, criterion, UNITS[0], allocation)
    check_masked_is_shrunk(prepared.model, plan, prepared.examples[:1])


@pytest.mark.parametrize(
    ("name", "granularity"),
    [
        (name, unit)
        for name, unit in product(["chain", "gate", "tied", "group_norm", "residual_blocks", "pre_norm_blocks"], UNITS)
        if not unit.modular or TINY[name].blocks
    ],
    ids=name_of,
)
def test_trains_alike(name, granularity):
    prepared, plan = made(name, CRITERIA["magnitude"](), granularity, ALLOCATIONS["uniform"]())
    if granularity.structured:
        check_trains_alike(prepared, plan, "adamw", 0.1)
    check_masks_once(prepared.model, plan, prepared.examples)
    check_written_and_read(plan)
