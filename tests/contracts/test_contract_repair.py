"""The contract of repair, over everything registered."""

import pytest

from secateur.repair import REPAIRS
from secateur.testing import RepairContract


@pytest.mark.parametrize("repair", [one for kind in REPAIRS.values() for one in kind.examples()], ids=repr)
class TestRepairs(RepairContract):
    pass
