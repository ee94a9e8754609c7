"""S1 to S7, S9 to S11 and S14 on every tiny network."""

import pytest

from secateur.testing.models import TINY
from secateur.testing.system import SystemContract


@pytest.mark.parametrize("network", TINY.values(), ids=TINY.keys())
class TestNetworks(SystemContract):
    pass
