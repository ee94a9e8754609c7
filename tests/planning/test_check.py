import pytest

from secateur.core.contracts import ElementCriterion, UnitCriterion
from secateur.core.errors import IncompatibleError
from secateur.criteria import CRITERIA, FPGM, BNScale, LiGreedy, Magnitude, Taylor
from secateur.evidence import MeanGradient
from secateur.evidence import Weight as Weights
from secateur.granularity import GRANULARITIES, Channel, Layer, Weight
from secateur.planning.check import check, granularities, meets


@pytest.mark.parametrize("criterion", [Magnitude(), Taylor(), FPGM(), BNScale()], ids=repr)
def test_every_criterion_meets_channels(criterion):
    check(criterion, Channel())


@pytest.mark.parametrize("criterion", [Magnitude(), Taylor()], ids=repr)
def test_element_criteria_meet_weights(criterion):
    check(criterion, Weight())


@pytest.mark.parametrize("criterion", [FPGM(), BNScale()], ids=repr)
def test_unit_criteria_do_not(criterion):
    with pytest.raises(IncompatibleError, match="Channel"):
        check(criterion, Weight())


@pytest.mark.parametrize("name", list(CRITERIA))
def test_what_is_listed_is_what_passes(name):
    for one in CRITERIA[name].examples():
        passing = [n for n, kind in GRANULARITIES.items() if all(meets(one, g) for g in kind.examples())]
        assert granularities(one) == passing
        if isinstance(one, ElementCriterion):
            assert passing == list(GRANULARITIES)
        if isinstance(one, UnitCriterion):
            assert not meets(one, Layer()) and not meets(one, Weight())


def test_the_error_names_what_is_allowed():
    with pytest.raises(IncompatibleError, match="allowed: channel, embedding, head, head_dim, neuron"):
        check(FPGM(), Layer())


def test_in_order_only_with_weights():
    class Greedy(LiGreedy):
        needs = (Weights, MeanGradient)

    with pytest.raises(IncompatibleError, match="scores in order and needs MeanGradient"):
        check(Greedy(), Channel())
