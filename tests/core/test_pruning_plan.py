import pytest
import torch

from secateur.core.errors import IncompatibleError, UnknownNameError
from secateur.core.plan import PruningPlan
from secateur.granularity import Channel
from secateur.testing import case as cases


@pytest.fixture
def whole():
    return PruningPlan({}, Channel(), cases.normed().graph)


def test_by_hand(whole):
    made = whole.keep("0", [4, 1, 1])
    assert made.kept["0"].tolist() == [False, True, False, False, True, False]
    assert (made.width("0"), made.width("3")) == (2, 4)
    assert whole.width("0") == 6
    assert made.is_structured


@pytest.mark.parametrize("units", [[], [-1], [6], [0, 9]])
def test_units_that_do_not_exist(whole, units):
    with pytest.raises(IncompatibleError, match="units 0 to 5"):
        whole.keep("0", units)


def test_blocks_that_do_not_exist(whole):
    with pytest.raises(UnknownNameError, match="Known: 0, 3"):
        whole.keep("1", [0])
    with pytest.raises(IncompatibleError, match="is an output of the model"):
        whole.keep("7", [0])


def test_digest_and_equality(whole):
    a, b = whole.keep("0", [0, 1]), whole.keep("0", [1, 0])
    assert a == b
    assert hash(a) == hash(b)
    assert a != whole.keep("0", [0, 2])
    assert whole == whole.keep("0", range(6))


def test_then_is_in_the_first_plans_coordinates(whole):
    first = whole.keep("0", [1, 3, 5])
    second = PruningPlan({"0": torch.tensor([True, False, True])}, Channel(), whole.graph)
    assert first.then(second).kept["0"].nonzero().flatten().tolist() == [1, 5]
    with pytest.raises(IncompatibleError, match="this plan leaves 3"):
        first.then(PruningPlan({"0": torch.ones(6, dtype=torch.bool)}, Channel(), whole.graph))
