"""Compact blocks against layers of their own form, spectra, and least squares on outputs."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from secateur.compact import DepthwiseSeparable, Fire, Ghost, ShuffleUnit
from secateur.core.errors import IncompatibleError
from secateur.core.rng import generator


def normal(*shape, salt=""):
    return torch.randn(*shape, generator=generator(0, "compact tests", salt), dtype=torch.float64)


def conv(weight, **settings):
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], tuple(weight.shape[2:]), **settings).double()
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer


def gap(block, layer, size=(9, 10)):
    x = normal(3, layer.in_channels, *size, salt="x")
    with torch.no_grad():
        return float((block(x) - layer(x)).abs().max())


SETTINGS = [{}, {"stride": 2, "padding": 1}, {"stride": (1, 2), "dilation": (2, 1), "padding": (2, 0)}]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_depthwise_separable_finds_itself(settings):
    """A layer that is depthwise separable comes back exactly; with two filters for each channel too."""
    for m in (1, 2):
        weight = torch.einsum("tsi,siyx->tsyx", normal(5, 4, m), normal(4, m, 3, 3, salt="d"))
        layer = conv(weight, **settings)
        assert gap(DepthwiseSeparable(multiplier=m).rebuild(layer), layer) < 1e-12


@pytest.mark.parametrize("m", [1, 2, 3])
def test_depthwise_separable_loses_the_tails(m):
    """Of every input channel's matrix what numpy's spectrum says; with all filters nothing."""
    layer = conv(normal(7, 3, 3, 3), bias=False)
    block = DepthwiseSeparable(multiplier=m).rebuild(layer)
    filters, mixing = (x.detach() for x in block.parameters())
    weight = torch.einsum("tsi,siyx->tsyx", mixing.view(7, 3, m), filters.view(3, m, 3, 3))
    tails = [np.linalg.svd(layer.weight.detach()[:, s].flatten(1).numpy(), compute_uv=False)[m:] for s in range(3)]
    assert float((layer.weight.detach() - weight).square().sum()) == pytest.approx(sum((t**2).sum() for t in tails))
    assert gap(DepthwiseSeparable(multiplier=7).rebuild(layer), layer) < 1e-12


@pytest.mark.parametrize("choose", [True, False])
def test_ghost_finds_multiples(choose):
    """Filters that are multiples of others: exact with a 1x1 cheap filter, whatever the stride."""
    few = normal(3, 4, 3, 3)
    weight = torch.cat((few, few * torch.tensor([2.0, -1.0, 0.5]).view(3, 1, 1, 1)))
    if choose:
        weight = weight[torch.tensor([4, 0, 3, 1, 5, 2])]
    for settings in SETTINGS:
        layer = conv(weight, **settings)
        block = Ghost(width=1, choose=choose).rebuild(layer)
        assert gap(block, layer) < 1e-12
        assert (block.order is None) != choose


def test_ghost_taps_are_least_squares_on_outputs():
    """On white noise, the cheap filter of each ghost is the regression of its map on shifts of the intrinsic map."""
    for settings in ({}, {"stride": 2}, {"stride": (1, 3), "dilation": (2, 2)}):
        layer = conv(normal(4, 2, 3, 3), bias=False, **settings)
        block = Ghost(choose=False).rebuild(layer)
        x = normal(1, 2, 400, 400, salt="white")
        with torch.no_grad():
            maps = layer(x)[0]
        for place in range(2):
            ghost = block.cheap.weight.detach()[place, 0]
            target = 2 + place
            height, width = maps.shape[1] - 2, maps.shape[2] - 2
            shifts = [
                maps[place, i : i + height, j : j + width].flatten() for i, j in itertools.product(range(3), range(3))
            ]
            best = torch.linalg.lstsq(torch.stack(shifts, 1), maps[target, 1:-1, 1:-1].flatten()[:, None]).solution
            assert torch.allclose(best.view(3, 3), ghost, atol=0.05)
            assert ghost.abs().max() > 0.1


def test_ghost_chooses_better_than_the_first():
    for salt in "abc":
        few = normal(4, 3, 3, 3, salt=salt)
        weight = torch.cat((few[:2], few[:2] + 0.1 * normal(2, 3, 3, 3), few[2:], few[2:] * 1.1))
        layer = conv(weight)
        assert gap(Ghost().rebuild(layer), layer) < gap(Ghost(choose=False).rebuild(layer), layer)


def test_ghost_drops_what_does_not_divide():
    layer = conv(normal(7, 3, 3, 3))
    block = Ghost(maps=3).rebuild(layer)
    assert block.intrinsic.out_channels == 3
    assert block.cheap.out_channels == 6
    assert block(normal(1, 3, 6, 6)).shape[1] == 7


def test_fire_finds_itself():
    """A layer of the form without the ReLU comes back exactly; with positive parts throughout, with the ReLU too."""
    few, small = 2, 3
    core = normal(6, few, 3, 3, salt="c")
    core[:small, :, [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] = 0
    basis = torch.zeros(4, few).double()
    basis[0, 0] = basis[1, 0] = basis[2, 1] = 1
    layer = conv(torch.einsum("tayx,sa->tsyx", core, basis), padding=1)
    assert gap(Fire(squeeze=1 / 3, relu=False).rebuild(layer), layer) < 1e-12
    x = normal(2, 4, 6, 6).abs()
    with torch.no_grad():
        # Singular vectors of this layer are mixtures; those of one squeezed channel are not.
        core[:, 1] = 0
        layer = conv(torch.einsum("tayx,sa->tsyx", core, basis), padding=1)
        assert torch.allclose(Fire(squeeze=0.1).rebuild(layer)(x), layer(x))


def test_fire_refuses_what_has_no_middle():
    assert "odd" in Fire().refusal(nn.Conv2d(4, 4, 2))
    assert "keeps the size" in Fire().refusal(nn.Conv2d(4, 4, 3))
    assert not Fire().refusal(nn.Conv2d(4, 4, 3, padding=2, dilation=2))


@pytest.mark.parametrize("groups", [1, 2])
def test_shuffle_unit_comes_near_itself(groups):
    """A layer that is such a unit is found again, almost."""
    unit = ShuffleUnit(groups=groups, bottleneck=2 / 3).rebuild(conv(normal(6, 4, 3, 3), bias=False))
    with torch.no_grad():
        for k, p in enumerate(unit.parameters()):
            p.copy_(normal(*p.shape, salt=str(k)))
        weight = torch.stack([_response(unit, s) for s in range(4)], 1)
    layer = conv(weight, bias=False)
    again = min(
        gap(ShuffleUnit(groups=groups, bottleneck=2 / 3, sweeps=400, seed=seed).rebuild(layer), layer)
        for seed in range(4)
    )
    assert again < 1e-3 * float(layer(normal(3, 4, 9, 10, salt="x")).detach().abs().max())


def _response(unit, channel):
    """The kernel slice of one input channel, from the answer to a single bright pixel."""
    x = torch.zeros(1, 4, 5, 5, dtype=torch.float64)
    x[0, channel, 2, 2] = 1
    return unit(x)[0].flip(1, 2)


def test_shuffle_unit_never_loses_more_with_more_sweeps():
    layer = conv(normal(6, 4, 3, 3), bias=False)
    errors = []
    for sweeps in (1, 2, 4, 8, 16):
        unit = ShuffleUnit(sweeps=sweeps).rebuild(layer)
        with torch.no_grad():
            weight = torch.stack([_response(unit, s) for s in range(4)], 1)
        errors.append(float((weight - layer.weight.detach()).square().sum()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < float(layer.weight.detach().square().sum())


def test_shuffle_is_torchs():
    from secateur.compact.shuffle_unit import Shuffle

    x = normal(2, 12, 3, 3)
    assert torch.equal(Shuffle(3)(x), nn.ChannelShuffle(3)(x))


@pytest.mark.parametrize("make", [lambda: DepthwiseSeparable(multiplier=0), lambda: Ghost(width=2), lambda: Fire(large=1.0),
                                  lambda: ShuffleUnit(groups=0)])  # fmt: skip
def test_settings_are_checked(make):
    with pytest.raises(IncompatibleError):
        make()
