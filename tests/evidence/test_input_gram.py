from itertools import product

import pytest
import torch
from torch import nn

from secateur.core.errors import IncompatibleError
from secateur.evidence import InputGram, collect, input_gram
from secateur.evidence.base import patches
from secateur.graph.trace import trace

LAYERS = [
    nn.Linear(4, 3),
    nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
    nn.Conv2d(4, 6, (3, 2), dilation=(1, 2), padding="same"),
    nn.Conv2d(4, 4, 3, padding=2, padding_mode="circular", groups=4),
    nn.Conv1d(4, 2, 3, padding=1, padding_mode="reflect"),
    nn.Conv3d(4, 2, (1, 2, 3)),
]


def inputs(layer):
    shape = (5, 4) if isinstance(layer, nn.Linear) else (2, 4, *range(5, 5 + len(layer.kernel_size)))
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_a_row_times_a_patch_is_an_output(layer):
    layer = layer.double()
    x = inputs(layer)
    seen = patches(layer, x)
    rows = layer.weight.flatten(1).unflatten(0, (seen.shape[0], -1))
    wanted = layer(x).movedim(1, 0).flatten(1) - layer.bias[:, None]
    assert torch.allclose((rows @ seen.mT).flatten(0, 1), wanted, rtol=1e-12, atol=1e-12)


def test_sum_over_places_and_examples_by_hand():
    """A 2 x 2 convolution over 3 x 3 pictures of 2 channels: every product of two entries, one by one."""
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.ReLU(), nn.Conv2d(3, 1, 1)).double()
    data = torch.randn(4, 2, 3, 3, dtype=torch.float64)
    graph = trace(model, data)
    found = collect(model, [(data[:1], None), (data[1:], None)], [InputGram], graph=graph)[InputGram]
    assert {n: tuple(v.shape) for n, v in found.items()} == {"0.weight": (1, 8, 8), "2.weight": (1, 3, 3)}
    spots = list(product(range(2), range(2), range(2)))
    for (i, (c, y, x)), (j, (d, v, u)) in product(enumerate(spots), repeat=2):
        sums = [data[n, c, y + a, x + b] * data[n, d, v + a, u + b] for n in range(4) for a in (0, 1) for b in (0, 1)]
        assert found["0.weight"][0, i, j].item() == pytest.approx(sum(sums).item() / 16)


def test_output_error_is_a_quadratic_form():
    """What the collector is for: d^T H d is the mean squared change of a row's output."""
    model = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1, groups=2), nn.Flatten(), nn.Linear(150, 2)).double()
    data = torch.randn(3, 4, 5, 5, dtype=torch.float64)
    gram = collect(model, [(data, None)], [InputGram], graph=trace(model, data))[InputGram]["0.weight"]
    before = model[0](data)
    change = torch.randn_like(model[0].weight)
    with torch.no_grad():
        model[0].weight += change
    seen = (model[0](data) - before).square().mean((0, 2, 3))
    rows = change.flatten(1).unflatten(0, (2, -1))
    assert torch.allclose(torch.einsum("gri,gij,grj->gr", rows, gram, rows).flatten(), seen, rtol=1e-12)


def test_transposed_convolutions_are_left_out():
    model = nn.Sequential(nn.ConvTranspose2d(2, 3, 2), nn.ReLU(), nn.Conv2d(3, 1, 1)).double()
    data = torch.randn(2, 2, 3, 3, dtype=torch.float64)
    assert set(collect(model, [(data, None)], [InputGram], graph=trace(model, data))[InputGram]) == {"2.weight"}


def test_too_much_memory_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr(input_gram, "LIMIT", 8 * 36**2 - 1)
    model = nn.Sequential(nn.Conv2d(4, 5, 3), nn.Conv2d(5, 1, 1))
    data = torch.zeros(1, 4, 3, 3)
    with pytest.raises(IncompatibleError, match=r"'0\.weight'.*wanda or taylor"):
        collect(model, [(torch.zeros(1), None)], [InputGram], graph=trace(model, data))
