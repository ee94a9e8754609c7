"""HashedNets against loops over weights, and its gradients against float64 autograd of the paper's formula."""

import pytest
import torch
from torch import nn

from secateur.core.errors import IncompatibleError
from secateur.core.rng import generator
from secateur.quantize import quantize, quantized_of
from secateur.quantizers import Hashed


def test_each_bucket_is_the_best_for_its_weights():
    """Least squares by bucket, with a loop: the mean of the weights with their signs taken off."""
    weight = torch.randn(6, 10, generator=generator(0, "w"), dtype=torch.float64)
    found = Hashed(keep=0.2).quantize(weight)
    assert found.levels.shape == (2 * 12,)
    assert torch.equal(found.levels[0::2], -found.levels[1::2])
    for bucket in range(12):
        members = [
            (float(w), 1 - 2 * (int(c) % 2))
            for w, c in zip(weight.flatten(), found.codes.flatten(), strict=True)
            if c // 2 == bucket
        ]
        if members:
            assert float(found.levels[2 * bucket]) == pytest.approx(
                sum(w * s for w, s in members) / len(members), abs=1e-6
            )
    assert len(found.codes.unique()) > 15


def test_gradients_are_summed_by_bucket_with_signs():
    torch.manual_seed(0)
    plain = nn.Linear(10, 6, bias=False).double()
    model = quantize(plain, Hashed(keep=0.2))
    q = quantized_of(model)["weight"]
    shared = model.parametrizations["weight"][-1]
    assert shared.magnitudes.numel() == 12
    x = torch.randn(4, 10, generator=generator(1, "x"), dtype=torch.float64)
    model(x).square().sum().backward()
    w = q.levels[0::2].double().requires_grad_(True)
    sign = (1 - 2 * (q.codes % 2)).double()
    v = w[(q.codes // 2).long()] * sign
    (x @ v.T).square().sum().backward()
    wanted = w.grad * w.detach().sign()  # a parameter is the magnitude behind a pair
    assert torch.allclose(shared.magnitudes.grad, wanted, rtol=1e-6)


def test_equal_buckets_stay_two_parameters():
    same = nn.Linear(8, 8, bias=False)
    nn.init.constant_(same.weight, 0.5)
    how = Hashed(keep=0.1)
    with torch.no_grad():  # all buckets have the same mean
        same.weight.copy_(0.5 * (1 - 2 * (how.quantize(same.weight).codes % 2)))
    model = quantize(same, how)
    assert model.parametrizations["weight"][-1].magnitudes.numel() == 6


def test_the_seed_tells_everything():
    weight = torch.randn(5, 5, generator=generator(0, "w"))
    one, two, other = Hashed().quantize(weight), Hashed().quantize(2 * weight), Hashed(seed=1).quantize(weight)
    assert torch.equal(one.codes, two.codes)
    assert not torch.equal(one.codes, other.codes)
    with pytest.raises(IncompatibleError, match="keep"):
        Hashed(keep=0)
