"""K-means against the best partition into intervals, found by dynamic programming."""

import pytest
import torch

from secateur.core.errors import IncompatibleError
from secateur.core.rng import generator
from secateur.quantizers import KMeans, SymmetricLevels


def best_cost(values, count):
    """Least sum of squared distances to `count` centres, over all partitions of sorted values into intervals."""
    values = sorted(values)
    n = len(values)

    def spread(i, j):
        part = values[i:j]
        centre = sum(part) / len(part)
        return sum((x - centre) ** 2 for x in part)

    cost = [0.0] + [float("inf")] * n
    for _ in range(count):
        cost = [0.0, *(min(cost[i] + spread(i, j) for i in range(j)) for j in range(1, n + 1))]
    return cost[n]


def cost_of(how, weight):
    return float((how.quantize(weight).values().double() - weight).square().sum())


@pytest.mark.parametrize("seed", range(8))
def test_never_better_than_the_optimum_and_equal_to_it_from_some_start(seed):
    weight = torch.randn(24, generator=generator(seed, "x"), dtype=torch.float64)
    best = best_cost(weight.tolist(), 4)
    costs = [cost_of(KMeans(bits=2, start=start), weight) for start in ("linear", "density")]
    costs += [cost_of(KMeans(bits=2, start="random", seed=i), weight) for i in range(150)]
    assert min(costs) >= best * (1 - 1e-6)
    assert min(costs) <= best * (1 + 1e-6)


def test_humps_are_found():
    """Where clusters are apart, every start but chance finds them."""
    centres = torch.tensor([-3.0, -1.0, 1.5, 4.0], dtype=torch.float64)
    weight = (
        centres[:, None] + 0.1 * torch.randn(4, 6, generator=generator(0, "humps"), dtype=torch.float64)
    ).flatten()
    for start in ("linear", "density"):
        assert cost_of(KMeans(bits=2, start=start), weight) == pytest.approx(best_cost(weight.tolist(), 4), rel=1e-5)


def test_it_stands_still():
    """Every level is the mean of its weights, and every weight has its nearest level."""
    weight = torch.randn(3000, generator=generator(1, "x"), dtype=torch.float64)
    found = KMeans(bits=4).quantize(weight)
    means = torch.stack([weight[found.codes == k].mean() for k in range(16)])
    assert torch.allclose(found.levels.double(), means, atol=1e-6)
    nearest = (weight[:, None] - found.levels).abs().min(1).values
    assert torch.allclose((weight - found.values()).abs(), nearest, atol=1e-6)


def test_empty_clusters_are_put_to_use():
    """A linear start leaves most clusters empty here: one outlier, the rest close together."""
    weight = torch.cat([torch.linspace(0, 1, 100), torch.tensor([1000.0])])
    found = KMeans(bits=3).quantize(weight)
    assert len(found.levels) == 8 + 1  # with the 0, which the first entry is
    assert cost_of(KMeans(bits=3), weight) < 0.4  # seven equal parts of the hundred would have 0.17


def test_zero_is_apart():
    weight = torch.tensor([0.0, 0.5, -0.5, 0.0, 0.7])
    found = KMeans(bits=1).quantize(weight)
    assert found.levels.tolist() == pytest.approx([0, -0.5, 0.6])
    assert found.codes.tolist() == [0, 2, 1, 0, 2]
    dense = KMeans(bits=1).quantize(torch.tensor([0.5, 0.7, -0.5]))
    assert dense.levels.tolist() == pytest.approx([-0.5, 0.6])


def test_symmetric_levels_have_no_zero():
    weight = torch.randn(500, generator=generator(2, "x"))
    keep = weight.abs() > 0.3
    found = SymmetricLevels(magnitudes=3).quantize(weight, keep=keep)
    values = found.values()
    assert torch.equal(values.sign(), torch.where(keep, weight.sign(), 0.0))
    assert torch.equal(found.levels[1:], -found.levels[1:].flip(0))
    # the same as k-means of the magnitudes
    magnitudes = KMeans(levels=3).quantize(weight.abs(), keep=keep)
    assert torch.equal(values.abs(), magnitudes.values())


def test_refuses():
    for bad in ({"bits": 0}, {"levels": 0}, {"start": "forgy"}, {"bits": 2.5}):
        with pytest.raises(IncompatibleError, match="must be"):
            KMeans(**bad)
