import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from secateur.core.rng import generator
from secateur.criteria import Taylor
from secateur.evidence import collect
from secateur.granularity import Channel, Weight
from secateur.graph.trace import trace
from secateur.planning import score
from secateur.testing import case as cases


def scores(model, batches, granularity, loss):
    graph = trace(model, batches[0][0])
    evidence = collect(model, batches, Taylor.needs, graph=graph, loss=loss)
    return score(graph, Taylor(), evidence, granularity=granularity).values


def test_by_hand():
    """y = v . relu(W x), L = mean(y - t), batches of one: dL/dW_ij = v_i x_j where unit i is on, dL/dv_i = h_i."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 2.0], [3.0, -1.0]]))
        model[2].weight.copy_(torch.tensor([[2.0, -1.0]]))
    batches = [
        (torch.tensor([[1.0, 1.0]]).double(), torch.zeros(1, 1).double()),  # h = (3, 2), both on
        (torch.tensor([[0.0, 2.0]]).double(), torch.zeros(1, 1).double()),  # h = (4, 0), second off
    ]
    found = scores(model, batches, Weight(), lambda y, t: (y - t).mean())
    # first layer: squares of w g: batch 1: (2, 4 | -3, 1), batch 2: (0, 8 | 0, 0); means of squares
    assert found["0.weight"].tolist() == [(4 + 0) / 2, (16 + 64) / 2, 9 / 2, 1 / 2]
    # second layer: (2*3, -1*2), (2*4, 0)
    assert found["2.weight"].tolist() == [(36 + 64) / 2, 4 / 2]
    assert scores(model, batches, Channel(), lambda y, t: (y - t).mean())["0"].tolist() == [42, 5]


def test_against_autograd_batch_by_batch():
    subject = cases.normed()
    found = scores(subject.model, list(subject.batches), Channel(), F.cross_entropy)
    model = copy.deepcopy(subject.model)
    for name, layer in (("0", model[0]), ("3", model[3])):
        wanted = [0.0] * layer.out_channels
        for x, y in subject.batches:
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            for unit in range(layer.out_channels):
                for w, g in zip(
                    layer.weight[unit].flatten().tolist(), layer.weight.grad[unit].flatten().tolist(), strict=True
                ):
                    wanted[unit] += (w * g) ** 2 / len(subject.batches)
        assert found[name].tolist() == pytest.approx(wanted, rel=1e-10)


def test_batches_count_by_their_examples():
    """A batch of three weighs three times as much as one of one."""
    subject = cases.plain()
    x, y = subject.batches[0]
    both = scores(subject.model, [(x[:3], y[:3]), (x[3:], y[3:])], Weight(), F.cross_entropy)
    parts = [scores(subject.model, [b], Weight(), F.cross_entropy) for b in [(x[:3], y[:3]), (x[3:], y[3:])]]
    for name, values in both.items():
        assert torch.allclose(values, (3 * parts[0][name] + parts[1][name]) / 4, rtol=1e-12)


def test_brute_force_small_weights():
    """Removing a small weight changes the loss by w g to first order, so the score is the squared change."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator(0, str(p.shape)), dtype=torch.float64))
        model[2].weight.mul_(1e-4)
    x = torch.randn(8, 3, generator=generator(1), dtype=torch.float64)
    y = torch.randint(2, (8,), generator=generator(2))
    found = scores(model, [(x, y)], Weight(), F.cross_entropy)["2.weight"]
    full = float(F.cross_entropy(model(x), y).detach())
    for number in range(8):
        less = copy.deepcopy(model)
        with torch.no_grad():
            less[2].weight.view(-1)[number] = 0
            change = float(F.cross_entropy(less(x), y)) - full
        assert float(found[number]) == pytest.approx(change**2, rel=1e-3)


def test_tied_weights_get_the_gradient_of_all_uses():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.out = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False), nn.Linear(3, 2)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.out(self.b(torch.tanh(self.a(x))))

    model = Tied().double()
    x, y = torch.randn(4, 3, generator=generator(0), dtype=torch.float64), torch.tensor([0, 1, 0, 1])
    found = scores(model, [(x, y)], Weight(), F.cross_entropy)["a.weight"]
    F.cross_entropy(model(x), y).backward()
    assert torch.allclose(found, (model.a.weight * model.a.weight.grad).square().detach().flatten(), rtol=1e-10)
