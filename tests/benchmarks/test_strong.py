"""The second opinion: what it must see, and what must not blur it."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from benchmarks.models.strong import AllDouble, answers, fill_, filled, gap, still_, tensors, tremor


class Net(nn.Module):
    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.function(self, x)


CASTS = {
    "float": lambda net, x: x.float(),
    "to": lambda net, x: x.to(torch.float32),
    "type": lambda net, x: x.type(torch.float32),
    "softmax": lambda net, x: torch.softmax(x, -1, dtype=torch.float32),
    "zeros": lambda net, x: torch.zeros(3, dtype=torch.float32) + x[0, 0].float(),
}


@pytest.mark.parametrize("cast", CASTS)
def test_no_cast_to_single_precision_survives(cast):
    x = torch.rand(2, 3, dtype=torch.float64) / 3
    with AllDouble():
        found = CASTS[cast](None, x)
    assert found.dtype == torch.float64
    assert not torch.equal(found, found.float().double()), "it went through float32 on the way"


def test_strong_numbers_are_strong():
    net = fill_(nn.Sequential(nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16)), seed=0)
    conv, norm = net
    assert conv.bias.abs().min() >= 0.75 and conv.bias.abs().max() <= 1.5
    assert (conv.bias < 0).any() and (conv.bias > 0).any()
    assert 0.5 / 72**0.5 < conv.weight.std() < 3 / 72**0.5
    assert norm.running_mean.min() >= 0.5 and norm.running_var.min() >= 0.5
    again = fill_(nn.Sequential(nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16)), seed=1)
    assert not torch.equal(conv.weight, again[0].weight)


def test_roots_are_tried_with_positive_numbers():
    found = filled(lambda: Net(lambda net, x: net.line.weight.sqrt() @ x, line=nn.Linear(3, 3)), torch.rand(3), seed=0)
    assert found is not None and found.double
    assert (found.model.line.weight >= 0).all()


def test_own_types_where_float64_does_not_run():
    def insists(net, x):
        if x.dtype != torch.float32:
            raise RuntimeError("float32 only")
        return net.line(x)

    found = filled(lambda: Net(insists, line=nn.Linear(3, 3)), torch.rand(3), seed=0)
    assert found is not None and not found.double
    assert found.limit == 1e-4


def test_nothing_is_said_about_a_network_without_numbers():
    assert filled(lambda: Net(lambda net, x: x * float("nan"), line=nn.Linear(3, 3)), torch.rand(3), seed=0) is None


def test_gap_hides_nothing():
    one = torch.tensor([1.0, -4.0])
    assert gap([one], [one]) == 0
    assert gap([one], [torch.tensor([1.0, -3.0])]) == 0.25
    assert gap([torch.zeros(2)], [torch.tensor([0.0, 3.0])]) == 3
    for other in ([torch.tensor([1.0, float("nan")])], [torch.tensor([1.0, float("inf")])], [one[:1]], [one, one], []):
        assert gap([one], other) == float("inf")
    assert gap([torch.tensor([float("nan")])], [torch.tensor([float("nan")])]) == float("inf")


def test_answers_leave_the_global_generator_alone():
    net = Net(lambda net, x: x + torch.rand(3), line=nn.Linear(3, 3))
    before = torch.get_rng_state()
    first, second, other = (answers(net, torch.zeros(3), double=True, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert gap(first, second) == 0 < gap(first, other)


def test_what_drops_at_random_is_switched_off():
    class Careless(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.attention_dropout, self.p = nn.Dropout(0.5), 0.5, 2.0

        def forward(self, x):
            return self.p * nn.functional.dropout(self.inner(x), self.attention_dropout, self.training)

    net = still_(Careless()).train()
    assert torch.equal(net(torch.ones(1000)), torch.full((1000,), 2.0))


def test_tensors_are_found_in_every_wrapping():
    @dataclass
    class Output:
        loss: object
        hidden: tuple

    a, b, c = (torch.zeros(n) for n in (1, 2, 3))
    assert [len(x) for x in tensors(Output(None, (a, {"x": [b, a], "y": "text"}, c)))] == [1, 2, 3]


def test_tremor_tells_calm_networks_from_chaotic_ones():
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).double()
    wild = Net(lambda self, x: torch.sin(1e9 * self.net(x)), net=net)
    x = torch.randn(2, 3, dtype=torch.float64)
    before = [p.clone() for p in net.parameters()]
    assert 0 < tremor(net, x, [net(x)], double=True) < 1e-14
    assert 1e-9 < tremor(wild, x, [wild(x)], double=True) < 1e-4
    assert all(torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True))
