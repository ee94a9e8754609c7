"""The contract of criteria, over everything registered."""

import pytest

from secateur.criteria import CRITERIA
from secateur.testing import CriterionContract


@pytest.mark.parametrize("criterion", [one for kind in CRITERIA.values() for one in kind.examples()], ids=repr)
class TestCriteria(CriterionContract):
    pass
