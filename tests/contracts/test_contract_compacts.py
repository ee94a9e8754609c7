"""The contract of compact blocks, over everything registered."""

import pytest

from secateur.compact import COMPACTS
from secateur.testing import CompactContract


@pytest.mark.parametrize("compact", [one for kind in COMPACTS.values() for one in kind.examples()], ids=repr)
class TestCompacts(CompactContract):
    pass
