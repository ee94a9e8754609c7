"""The twin that says whether the peer's cut is right: right cuts pass, misaligned ones do not."""

import copy

import pytest
import torch
from torch import nn

from benchmarks.models import strong
from benchmarks.models.peer import LiveNorm, makers_of_outputs, named, number_, silenced


class Root(nn.Module):
    """RMS norm, of a class that no framework knows."""

    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


class RootNorm(Root):
    """The same under a telling name."""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.pre, self.bn = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.line, self.norm, self.root, self.head = nn.Linear(8, 6), nn.LayerNorm(6), RootNorm(6), nn.Linear(6, 4)

    def forward(self, x):
        x = torch.sigmoid(self.bn(self.pre(x))).mean((2, 3))
        return self.head(torch.sigmoid(self.root(self.norm(self.line(x)))))


CHANNELS, FEATURES = torch.tensor([0, 3, 4, 7]), torch.tensor([1, 2, 5])


def cut(model, *, read=CHANNELS):
    """Take channels and features away by hand; `read` is what the next layer believes has stayed."""
    keep = {
        "pre.weight": (0, CHANNELS), "pre.bias": (0, CHANNELS), "bn.weight": (0, CHANNELS), "bn.bias": (0, CHANNELS),
        "bn.running_mean": (0, CHANNELS), "bn.running_var": (0, CHANNELS), "line.bias": (0, FEATURES),
        "norm.weight": (0, FEATURES), "norm.bias": (0, FEATURES), "root.weight": (0, FEATURES),
        "head.weight": (1, FEATURES),
    }  # fmt: skip
    with torch.no_grad():
        for name, (dim, index) in keep.items():
            replace(
                model,
                name,
                model.get_parameter(name) if name in dict(model.named_parameters()) else model.get_buffer(name),
                dim,
                index,
            )
        replace(model, "line.weight", model.line.weight.index_select(0, FEATURES), 1, read)
    model.norm.normalized_shape = (len(FEATURES),)
    return model


def replace(model, name, tensor, dim, index):
    owner, _, leaf = name.rpartition(".")
    left = tensor.index_select(dim, index)
    setattr(model.get_submodule(owner), leaf, left if leaf.startswith("running") else nn.Parameter(left))


def difference(**how):
    model = strong.fill_(Net().double(), seed=0).eval()
    tagged = copy.deepcopy(model)
    held = number_(tagged)
    cut(tagged, **how)
    entries = {name: x.detach().long() for name, x in named(tagged).items()}
    with torch.no_grad():
        for name, tensor in named(tagged).items():
            tensor.copy_(held[name].flatten()[entries[name]])
    twin = silenced(copy.deepcopy(model), tagged, entries)
    x = torch.randn(2, 3, 7, 7, dtype=torch.float64)
    return strong.gap(strong.answers(twin, x, double=True), strong.answers(tagged, x, double=True))


def test_a_right_cut_passes():
    assert difference() < 1e-12


@pytest.mark.parametrize("read", [CHANNELS.flip(0), torch.tensor([0, 3, 4, 6])])
def test_a_misaligned_cut_does_not(read):
    assert difference(read=read) > 1e-4


def test_numbers_are_unique_and_what_was_there_comes_back():
    model = nn.Linear(3, 2).double()
    before = model.weight.detach().clone()
    held = number_(model)
    assert model.weight.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert torch.equal(held["weight"], before)


def test_a_norm_over_live_channels():
    norm, kept = nn.LayerNorm(2), torch.tensor([0, 3])
    x = torch.tensor([[1.0, 9.0, 9.0, 3.0]])
    assert torch.allclose(LiveNorm(norm, kept, 4)(x), torch.tensor([[-1.0, 0.0, 0.0, 1.0]]), atol=1e-4)
    group = LiveNorm(nn.GroupNorm(1, 2), kept, 4)
    assert group(x.view(1, 4, 1, 1).expand(1, 4, 2, 5)).shape == (1, 4, 2, 5)


def test_the_makers_of_the_outputs_are_left_alone():
    model = Net().train()
    assert makers_of_outputs(model, torch.randn(2, 3, 7, 7)) == [model.head]
    assert model.training and model.bn.training
    hidden = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2), nn.Sigmoid())
    assert makers_of_outputs(hidden, torch.randn(2, 3)) == [hidden[1]]
