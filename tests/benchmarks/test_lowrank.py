"""The page on low rank: what factorizers lose lies between the figures that it prints beside."""

import pytest
import torch

from benchmarks.lowrank.oracles import rows
from secateur.bench.zoo.lenet import lenet5
from secateur.lowrank import FACTORIZERS


@pytest.mark.slow
def test_losses_lie_between_their_bounds():
    torch.manual_seed(0)
    found = rows(lenet5(), sweeps=2)
    assert {row.method for row in found} == set(FACTORIZERS)
    for row in found:
        assert row.least - 1e-6 <= row.lost <= row.most + 1e-6
        assert row.exact < 1e-5
