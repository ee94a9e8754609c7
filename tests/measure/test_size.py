import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from secateur.bench.zoo.lenet import lenet5
from secateur.core.errors import UnsupportedError
from secateur.measure import nonzeros, parameters, size


def tied():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    return model


def test_parameters():
    assert parameters(lenet5()) == 431_080
    assert parameters(tied()) == 16 + 2 * 4
    assert parameters(nn.BatchNorm1d(3)) == 6  # buffers are no parameters
    shared = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    shared[1].weight.data = shared[0].weight.data
    assert parameters(shared) == 16 + 2 * 4


def test_nonzeros():
    model = tied()
    with torch.no_grad():
        model[0].weight[0] = 0
        model[1].bias[:] = 0
        model[0].bias[:] = 1
    assert nonzeros(model) == 12 + 4


def test_bytes_are_those_of_a_real_file(tmp_path):
    model = lenet5()
    save_file(model.state_dict(), tmp_path / "net")
    assert size(model) == (tmp_path / "net").stat().st_size
    assert size(model.half()) < 0.51 * (tmp_path / "net").stat().st_size


def test_bytes_count_ties_once():
    assert size(tied()) < size(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)))


def test_lazy_modules_are_refused():
    with pytest.raises(UnsupportedError, match="initialise lazy"):
        size(nn.LazyLinear(3))
