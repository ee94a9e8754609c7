"""The contract of allocation, over everything registered."""

import pytest

from secateur.allocation import ALLOCATIONS
from secateur.testing import AllocationContract


@pytest.mark.parametrize("allocation", [one for kind in ALLOCATIONS.values() for one in kind.examples()], ids=repr)
class TestAllocations(AllocationContract):
    pass
