import copy

import pytest
import torch
from torch import nn

from secateur.bench.zoo.lenet import lenet5
from secateur.bench.zoo.mobilenet_v2 import mobilenet_v2
from secateur.bench.zoo.resnet import ResNet, resnet20
from secateur.graph.cost import cost
from secateur.graph.trace import trace
from secateur.measure import macs

# Worked out by hand: outputs x inputs that each output sums over.
BY_HAND = {
    "conv": (nn.Conv2d(3, 8, 3), (2, 3, 10, 12), 2 * 8 * (8 * 10) * (3 * 9)),
    "conv, stride and padding": (nn.Conv2d(3, 8, 3, stride=2, padding=1), (1, 3, 10, 10), 8 * (5 * 5) * (3 * 9)),
    "conv 1d": (nn.Conv1d(3, 8, 3), (1, 3, 10), 8 * 8 * (3 * 3)),
    "conv 3d": (nn.Conv3d(3, 8, 2), (1, 3, 4, 4, 4), 8 * 27 * (3 * 8)),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2), (1, 4, 5, 5), 6 * 9 * (2 * 9)),
    "depthwise": (nn.Conv2d(4, 4, 3, groups=4), (1, 4, 5, 5), 4 * 9 * 9),
    "depthwise, doubled": (nn.Conv2d(4, 8, 3, groups=4), (1, 4, 5, 5), 8 * 9 * 9),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2), (1, 4, 5, 5), 25 * 4 * (6 * 9)),  # each input is spread
    "transposed, grouped": (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (1, 4, 5, 5), 25 * 4 * (3 * 9)),
    "linear": (nn.Linear(7, 5), (3, 7), 3 * 7 * 5),
    "linear without bias": (nn.Linear(7, 5, bias=False), (3, 7), 3 * 7 * 5),
    "linear over tokens": (nn.Linear(7, 5), (2, 3, 7), 2 * 3 * 7 * 5),
    "linear on one vector": (nn.Linear(7, 5), (7,), 7 * 5),
    "lstm": (nn.LSTM(8, 16), (5, 2, 8), 5 * 2 * 4 * 16 * (8 + 16)),
    "lstm, both ways": (nn.LSTM(8, 16, bidirectional=True), (5, 2, 8), 2 * 5 * 2 * 4 * 16 * (8 + 16)),
    "gru": (nn.GRU(8, 16), (5, 2, 8), 5 * 2 * 3 * 16 * (8 + 16)),
    "norm and relu": (nn.Sequential(nn.BatchNorm1d(4), nn.ReLU()), (2, 4), 0),
    "lenet5": (lenet5(), (1, 1, 28, 28), 2_293_000),
    "lenet5, batch of 3": (lenet5(), (3, 1, 28, 28), 3 * 2_293_000),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name):
    model, shape, wanted = BY_HAND[name]
    assert macs(model, torch.zeros(shape)) == wanted


def test_attention():
    tokens, width = 5, 16
    projections = tokens * width * (3 * width + width)
    products = 2 * tokens * tokens * width
    x = torch.zeros(1, tokens, width)
    assert macs(nn.MultiheadAttention(width, 4, batch_first=True), (x, x, x)) == projections + products
    layer = nn.TransformerEncoderLayer(width, 4, 32, batch_first=True)  # has a fused fast path
    assert macs(layer, x) == projections + products + 2 * tokens * width * 32


def test_agrees_with_the_graph():
    x = torch.zeros(1, 3, 32, 32)
    model = ResNet(blocks=1)
    assert macs(model, x) == cost(trace(model, x)).macs


def test_agrees_with_the_literature():
    assert macs(resnet20(), torch.zeros(1, 3, 32, 32)) == 40_813_184  # 40.6 M without the projecting shortcuts
    assert macs(mobilenet_v2(), torch.zeros(1, 3, 224, 224)) == 300_774_272


def test_nothing_is_touched():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
    before, state = copy.deepcopy(model.state_dict()), torch.random.get_rng_state()
    macs(model, torch.ones(2, 1, 5, 5))
    assert model.training
    assert all(torch.equal(x, before[n]) for n, x in model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(p.grad is None for p in model.parameters())
