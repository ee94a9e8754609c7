"""The contract of factorizers, over everything registered."""

import pytest

from secateur.lowrank import FACTORIZERS
from secateur.testing import FactorizerContract


@pytest.mark.parametrize("factorizer", [one for kind in FACTORIZERS.values() for one in kind.examples()], ids=repr)
class TestFactorizers(FactorizerContract):
    pass
