import torch
from torch import nn

from benchmarks.criteria.oracles import hrank as oracle
from secateur.criteria import HRank
from secateur.evidence import collect
from secateur.graph.trace import trace
from secateur.planning import score


def scores(model, x):
    graph = trace(model, x)
    return score(graph, HRank(), collect(model, [(x, None)], HRank.needs, graph=graph)).values


def test_against_numpy():
    assert oracle.error() == 0


def images():
    """Two images with three channels of known rank: (1, 2, 4) and (1, 3, 0)."""
    line = torch.arange(1.0, 5)
    two = torch.diag(torch.tensor([1.0, 2, 0, 0]))
    three = torch.diag(torch.tensor([1.0, 2, 3, 0]))
    first = torch.stack([torch.outer(line, line), two, torch.eye(4)])
    return torch.stack([first, torch.stack([torch.outer(line, line.flip(0)), three, torch.zeros(4, 4)])]).double()


class Passing(nn.Module):
    """Channels pass unchanged and are read by whatever layer is given."""

    def __init__(self, read, flat):
        super().__init__()
        self.make, self.read, self.flat = nn.Conv2d(3, 3, 1, bias=False), read, flat
        with torch.no_grad():
            self.make.weight.copy_(torch.eye(3).view(3, 3, 1, 1))

    def forward(self, x):
        return self.read(self.flat(torch.relu(self.make(x))))


def test_known_ranks():
    model = Passing(nn.Conv2d(3, 2, 1), nn.Identity()).double()
    assert scores(model, images())["make"].tolist() == [1, 2.5, 2]


def test_maps_that_come_flattened_are_still_matrices():
    for flat in (nn.Flatten(), lambda h: h.flatten(1), lambda h: h.view(len(h), -1)):
        model = Passing(nn.Linear(48, 2), flat).double()
        assert scores(model, images())["make"].tolist() == [1, 2.5, 2]


def test_columns_whose_map_cannot_be_told_stand_alone():
    """A copy has forgotten its shape: every column is on or off. Unit 1 is on in 2 + 3 of 32 places."""
    model = Passing(nn.Linear(48, 2), lambda h: h.flatten(1) * 1).double()
    assert scores(model, images())["make"].tolist() == [1, 5 / 32, 4 / 32]


def test_linear_layers_count_how_often_a_unit_is_on():
    model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
    assert scores(model, torch.tensor([[1.0], [2.0], [3.0], [-1.0]]).double())["0"].tolist() == [0.75, 0.25]


def test_groups_are_averaged():
    """Channels k and k + 2 of a grouped convolution are one unit."""
    h = torch.stack([torch.eye(4), torch.ones(4, 4), torch.ones(4, 4), torch.zeros(4, 4)])[None].double()
    make = nn.Conv2d(4, 4, 1, bias=False)
    with torch.no_grad():
        make.weight.copy_(torch.eye(4).view(4, 4, 1, 1))
    model = nn.Sequential(make, nn.ReLU(), nn.Conv2d(4, 4, 1, groups=2), nn.ReLU(), nn.Conv2d(4, 1, 1)).double()
    assert scores(model, h)["0"].tolist() == [2.5, 0.5]
