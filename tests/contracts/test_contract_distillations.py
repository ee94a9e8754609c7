"""The contract of distillation losses, over everything registered."""

import pytest

from secateur.distill import DISTILLATIONS
from secateur.testing import DistillationContract


@pytest.mark.parametrize("distillation", [one for kind in DISTILLATIONS.values() for one in kind.examples()], ids=repr)
class TestDistillations(DistillationContract):
    pass
