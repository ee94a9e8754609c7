import pytest

from secateur.core.errors import IncompatibleError
from secateur.criteria import FPGM, BNScale, Magnitude, Taylor
from secateur.granularity import Channel, Weight
from secateur.planning.check import check


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
