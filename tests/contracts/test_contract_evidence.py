"""The contract of evidence, over everything registered."""

import pytest

from secateur.evidence import COLLECTORS
from secateur.testing import CollectorContract


@pytest.mark.parametrize("collector", list(COLLECTORS.values()), ids=list(COLLECTORS))
class TestCollectors(CollectorContract):
    pass
