"""The contract of quantizers, over everything registered."""

import pytest

from secateur.quantizers import QUANTIZERS
from secateur.testing import QuantizerContract


@pytest.mark.parametrize("quantizer", [one for kind in QUANTIZERS.values() for one in kind.examples()], ids=repr)
class TestQuantizers(QuantizerContract):
    pass
