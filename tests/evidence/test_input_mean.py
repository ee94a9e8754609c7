import pytest
import torch
from torch import nn

from secateur.core.rng import generator
from secateur.evidence import InputMean, collect
from secateur.graph.trace import trace
from secateur.testing import case as cases


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def test_against_a_double_loop():
    subject = cases.normed()
    found = subject.evidence([InputMean])[InputMean]
    assert set(found) == {"3.weight", "7.weight"}
    sums, count = [0.0] * 6, 0
    for x, _ in subject.batches:
        h = subject.model[:3](x).detach()
        for example in h:
            count += 1
            for channel in range(6):
                places = example[channel].flatten().tolist()
                sums[channel] += sum(places) / len(places)
    assert found["3.weight"].tolist() == pytest.approx([s / count for s in sums], rel=1e-12)
    flat = torch.cat([subject.model[:7](x) for x, _ in subject.batches]).mean(0)
    assert torch.allclose(found["7.weight"], flat, rtol=1e-12)


def test_batch_size_does_not_matter():
    subject = cases.normed()
    x = torch.cat([x for x, _ in subject.batches])
    for size in (1, 5, 12):
        parts = [(part, None) for part in x.split(size)]
        found = collect(subject.model, parts, [InputMean], graph=subject.graph)[InputMean]
        for name, values in subject.evidence([InputMean])[InputMean].items():
            assert torch.allclose(found[name], values, rtol=1e-12)


def test_tokens_are_averaged_over_too():
    model = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2)).double()
    x = noise(2, 5, 3)
    found = collect(model, [(x, None)], [InputMean], graph=trace(model, x))[InputMean]
    assert torch.allclose(found["2.weight"], model[:2](x).flatten(0, 1).mean(0), rtol=1e-12)


def test_transposed_convolution():
    model = nn.Sequential(nn.Conv1d(2, 4, 1), nn.ReLU(), nn.ConvTranspose1d(4, 2, 3)).double()
    x = noise(2, 2, 5)
    found = collect(model, [(x, None)], [InputMean], graph=trace(model, x))[InputMean]
    assert torch.allclose(found["2.weight"], model[:2](x).mean((0, 2)), rtol=1e-12)


class ByKeyword(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.b(input=torch.relu(self.a(x)))


def test_layers_called_by_keyword():
    model, x = ByKeyword().double(), noise(4, 2)
    found = collect(model, [(x, None)], [InputMean], graph=trace(model, x))[InputMean]
    assert torch.allclose(found["b.weight"], torch.relu(model.a(x)).mean(0), rtol=1e-12)


class Twice(nn.Module):
    """One layer used on two inputs."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.out = nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        h = torch.relu(self.a(x))
        return self.out(torch.relu(self.b(h)) + torch.relu(self.b(2 * h)))


def test_a_layer_used_twice_averages_both():
    model, x = Twice().double(), noise(4, 2)
    found = collect(model, [(x, None)], [InputMean], graph=trace(model, x))[InputMean]
    assert torch.allclose(found["b.weight"], 1.5 * torch.relu(model.a(x)).mean(0), rtol=1e-12)
