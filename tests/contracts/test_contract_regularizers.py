"""The contract of regularizers, over everything registered."""

import pytest

from secateur.regularizers import REGULARIZERS
from secateur.testing import RegularizerContract


@pytest.mark.parametrize("regularizer", [one for kind in REGULARIZERS.values() for one in kind.examples()], ids=repr)
class TestRegularizers(RegularizerContract):
    pass
