"""Even grids against torch's own quantization, and ranges against searches."""

import pytest
import torch

from secateur.core.errors import IncompatibleError
from secateur.core.ranges import find_range, grid, on_grid
from secateur.core.rng import generator
from secateur.quantizers import Int4, Uniform


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed, "x"))


def test_per_tensor_is_torchs():
    weight = normal(20, 30) + 0.3
    found = Uniform(symmetric=False, per="tensor").quantize(weight)
    theirs = torch.fake_quantize_per_tensor_affine(weight, found.scale, found.zero, 0, 255)
    assert torch.allclose(found.values(), theirs, atol=1e-7)
    assert float(found.scale) == pytest.approx(float(weight.max() - weight.min()) / 255, rel=1e-6)


def test_per_channel_is_torchs():
    weight = normal(8, 3, 3, 3)
    found = Uniform().quantize(weight)
    theirs = torch.fake_quantize_per_channel_affine(weight, found.scale, found.zero, 0, -127, 127)
    assert torch.allclose(found.values(), theirs, atol=1e-7)
    assert torch.allclose(found.scale, weight.flatten(1).abs().amax(1) / 127)


def test_channels_bound_the_error():
    """Each channel's error is at most half of its own step, which a small channel has a small one of."""
    weight = normal(6, 50) * torch.logspace(-3, 0, 6)[:, None]
    for bits in range(2, 9):
        found = Uniform(bits=bits).quantize(weight)
        assert bool(
            ((found.values() - weight).abs().amax(1) <= 0.5001 * weight.abs().amax(1) / (2 ** (bits - 1) - 1)).all()
        )


def test_pruned_entries_do_not_move_a_percentile():
    weight = normal(1, 1000)
    sparse = torch.cat([weight, torch.zeros(1, 9000)], 1)
    how = Uniform(range="percentile", percentile=99.0)
    assert torch.equal(how.quantize(weight).scale, how.quantize(sparse).scale)
    clipped = weight.abs() > float(how.quantize(weight).scale) * 127.01
    assert 5 <= int(clipped.sum()) <= 10


def test_mse_is_the_best_share():
    weight = normal(1, 2000, seed=2)
    weight[0, 0] = 12.0
    how = Uniform(bits=4, range="mse").quantize(weight)
    mine = float((how.values() - weight).square().sum())
    most = float(weight.abs().max())
    others = []
    for share in torch.linspace(0.05, 1.0, 400):
        scale, zero = grid(-share * torch.tensor([most]), share * torch.tensor([most]), (-7, 7), symmetric=True)
        others.append(float(((on_grid(weight, scale, zero, (-7, 7)) * scale) - weight).square().sum()))
    assert min(others) * 0.999 <= mine <= min(others) * 1.02
    assert mine < 0.5 * others[-1]


def test_kl_leaves_out_an_outlier():
    x = normal(1, 20000, seed=3).abs()
    x[0, 0] = 40.0
    _, high = find_range(x, "kl", codes=(0, 255), symmetric=False)
    assert 3 < float(high) < 12
    flat = torch.rand(1, 20000, generator=generator(0, "flat"))
    assert float(find_range(flat, "kl", codes=(0, 255), symmetric=False)[1]) > 0.95


def test_zero_is_always_on_the_grid():
    for low, high in ((-1.0, 3.0), (0.5, 3.0), (-3.0, -0.5), (-0.001, 1.0)):
        scale, zero = grid(torch.tensor([low]), torch.tensor([high]), (0, 255), symmetric=False)
        assert int(on_grid(torch.zeros(1), scale, zero, (0, 255))) == int(zero)
    scale, zero = grid(torch.tensor([0.5]), torch.tensor([3.0]), (0, 255), symmetric=False)
    assert int(zero) == 0  # nothing below: all codes above
    assert float(scale) == pytest.approx(3 / 255)


def test_int4_groups():
    weight = normal(3, 10)
    found = Int4(group=4).quantize(weight)
    for row in range(3):
        for g, part in enumerate(weight[row].split(4)):
            scale = float(part.abs().max()) / 7
            assert float(found.scale[row, g]) == pytest.approx(scale, rel=1e-6)
            wanted = torch.round(part / scale) * scale
            assert torch.allclose(found.values()[row].split(4)[g], wanted, atol=1e-6)


def test_refuses():
    for bad in ({"bits": 1}, {"bits": 9}, {"per": "row"}, {"range": "full"}, {"percentile": 20.0}):
        with pytest.raises(IncompatibleError, match="must"):
            Uniform(**bad)
