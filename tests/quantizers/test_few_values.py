"""Ternary, binary and powers of two against searches over all that they could have chosen."""

import itertools
import math

import torch

from secateur.core.rng import generator
from secateur.quantizers import BWN, TTQ, TWN, Log2


def normal(n, seed=0):
    return torch.randn(n, generator=generator(seed, "x"), dtype=torch.float64)


def error(values, weight):
    return float((values.double() - weight).square().sum())


def test_twn_is_near_the_best_threshold():
    """On normal weights 0.7 times the mean magnitude is near the best of all thresholds, searched one by one."""
    weight = normal(4000)
    sizes = weight.abs().sort(descending=True).values
    # with the n largest at their mean, the error is sum w^2 - (sum of the n)^2 / n
    gains = sizes.cumsum(0).square() / torch.arange(1, len(sizes) + 1)
    best = float(weight.square().sum() - gains.max())
    found = error(TWN().quantize(weight).values(), weight)
    assert best * (1 - 1e-6) <= found <= best * 1.01
    assert error(TWN(threshold=0.1).quantize(weight).values(), weight) > best * 1.3


def test_twn_by_hand():
    found = TWN().quantize(torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0]))
    # mean |w| of what stays = 6.5 / 4, threshold 1.1375
    assert found.values().tolist() == [0, -2.5, 0, 0, 2.5]


def test_ttq_by_hand():
    found = TTQ(threshold=0.25).quantize(torch.tensor([4.0, 2.0, -1.5, -0.9, 0.5]))
    assert found.values().tolist() == [3, 3, -1.5, 0, 0]


def test_bwn_is_the_nearest_of_all_pairs():
    """Over every choice of signs, with the best scale for each."""
    weight = normal(9, seed=3)
    best = math.inf
    for signs in itertools.product((-1.0, 1.0), repeat=9):
        b = torch.tensor(signs, dtype=torch.float64)
        scale = float(weight @ b) / 9  # least squares
        best = min(best, error(scale * b, weight))
    assert math.isclose(error(BWN().quantize(weight).values(), weight), best, rel_tol=1e-6)


def test_log2_is_the_nearest_power():
    weight = normal(300, seed=4)
    found = Log2(bits=4).quantize(weight)
    top = math.floor(math.log2(4 * float(weight.abs().max()) / 3))
    allowed = torch.tensor([0.0, *(s * 2.0**n for n in range(top - 3, top + 1) for s in (1, -1))], dtype=torch.float64)
    nearest = (weight[:, None] - allowed).abs().min(1).values
    assert torch.allclose((found.values().double() - weight).abs(), nearest)
    assert len(found.levels) == 9
