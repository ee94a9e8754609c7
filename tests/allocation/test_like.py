import pytest

from secateur.allocation import Global, Like, Uniform
from secateur.core.budget import Budget
from secateur.core.errors import IncompatibleError
from secateur.criteria import LAMP, Random, Taylor
from secateur.granularity import Channel, Weight
from secateur.planning import plan, score
from secateur.testing import case as cases


@pytest.mark.parametrize(("criterion", "granularity"), [(Taylor(), Channel()), (LAMP(), Weight())], ids=repr)
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.83])
@pytest.mark.parametrize("of", ["units", "macs"])
def test_the_same_budget_gives_the_same_numbers(criterion, granularity, keep, of):
    """Whatever scores; so random units in another method's proportions are a control."""
    case = cases.normed(12, 9)
    budget = Budget(keep, of)
    scores = score(case.graph, criterion, case.evidence(criterion.needs), granularity=granularity)
    first = plan(case.graph, scores, budget, Global(normalize="none"))
    lots = score(case.graph, Random(), case.evidence(Random.needs), granularity=granularity)
    control = plan(case.graph, lots, budget, Like.of(first))
    assert {n: control.width(n) for n in scores.values} == {n: first.width(n) for n in scores.values}
    assert any(not bool((control.kept[n] == first.kept[n]).all()) for n in scores.values)


def test_another_budget_takes_shares_to_a_power():
    """Shares 1/2 and 1/4 squared are 1/4 and 1/16; the root of each doubles its logarithm."""
    case = cases.normed(16, 16)
    lots = score(case.graph, Random(), case.evidence(Random.needs))
    how = Like(shares=(("0", 0.5), ("3", 0.25)))
    made = {keep: plan(case.graph, lots, Budget(keep, "units"), how) for keep in (5 / 32, 12 / 32, 1.0)}
    assert [made[5 / 32].width(n) for n in "03"] == [4, 1]
    assert [made[12 / 32].width(n) for n in "03"] == [8, 4]
    assert [made[1.0].width(n) for n in "03"] == [16, 16]


def test_blocks_without_a_name_keep_the_mean():
    case = cases.normed(16, 16)
    lots = score(case.graph, Random(), case.evidence(Random.needs))
    made = plan(case.graph, lots, Budget("0.25 units"), Like(shares=(("0", 0.25),)))
    assert [made.width(n) for n in "03"] == [4, 4]
    assert plan(case.graph, lots, Budget("0.25 units"), Uniform()).width("0") == 4


def test_shares_outside_are_refused():
    with pytest.raises(IncompatibleError, match=r"shares must be in \(0, 1\], got 3: 1.5"):
        Like(shares=(("0", 0.5), ("3", 1.5)))
