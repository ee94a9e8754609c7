"""The contract of surgeries, over everything registered."""

import pytest

from secateur.surgeries import SURGERIES
from secateur.testing import SurgeryContract


@pytest.mark.parametrize("surgery", [one for kind in SURGERIES.values() for one in kind.examples()], ids=repr)
class TestSurgeries(SurgeryContract):
    pass
