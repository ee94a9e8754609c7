"""The contract of granularity, over everything registered."""

import pytest

from secateur.granularity import GRANULARITIES
from secateur.testing import GranularityContract


@pytest.mark.parametrize("granularity", [one for kind in GRANULARITIES.values() for one in kind.examples()], ids=repr)
class TestGranularities(GranularityContract):
    pass
