"""The contract of codecs, over everything registered."""

import pytest

from secateur.coding import CODECS
from secateur.testing import CodecContract


@pytest.mark.parametrize("codec", [one for kind in CODECS.values() for one in kind.examples()], ids=repr)
class TestCodecs(CodecContract):
    pass
