import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import chip as oracle
from secateur.criteria import CHIP
from secateur.evidence import collect
from secateur.graph.trace import trace
from secateur.planning import score


def scores(model, x):
    graph = trace(model, x)
    return score(graph, CHIP(), collect(model, [(x, None)], CHIP.needs, graph=graph)).values


def test_against_numpy():
    assert oracle.error() < 1e-12


def test_by_hand():
    """Maps (3, 0), (0, 1), (4, 0): singular values 5 and 1; without each 4 + 1, 5, 3 + 1."""
    model = nn.Sequential(nn.Conv1d(3, 3, 1, bias=False), nn.ReLU(), nn.Conv1d(3, 1, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(3)[..., None])
    x = torch.tensor([[[3.0, 0.0], [0.0, 1.0], [4.0, 0.0]]]).double()
    assert scores(model, x)["0"].tolist() == pytest.approx([1, 1, 2], rel=1e-12)


def test_a_map_that_the_others_contain_goes_first():
    """The fourth map is the sum of the first two, the third stands alone; all are equally long."""
    rows = torch.tensor([[1.0, 1, 0, 0], [1.0, -1, 0, 0], [0.0, 0, 2**0.5, 0], [2**0.5, 0, 0, 0]])
    model = nn.Sequential(nn.Conv1d(4, 4, 1, bias=False), nn.Identity(), nn.Conv1d(4, 1, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(4)[..., None])
    found = scores(model, rows[None].double())["0"]
    assert float(found[2]) == pytest.approx(2**0.5)
    assert bool((found[[0, 1, 3]] < found[2]).all())


class Joined(nn.Module):
    """Two groups side by side in one reader: each is measured among its own."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.out = nn.Conv1d(2, 2, 1), nn.Conv1d(2, 3, 1), nn.Conv1d(5, 1, 1)

    def forward(self, x):
        return self.out(torch.cat([self.a(x), self.b(x)], 1))


def test_groups_side_by_side():
    model = Joined().double()
    x = torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(0)).double()
    found = scores(model, x)
    for name, layer in (("a", model.a), ("b", model.b)):
        maps = layer(x).detach()
        for unit in range(maps.shape[1]):
            rest = [u for u in range(maps.shape[1]) if u != unit]
            falls = [torch.linalg.matrix_norm(m, "nuc") - torch.linalg.matrix_norm(m[rest], "nuc") for m in maps]
            assert float(found[name][unit]) == pytest.approx(float(sum(falls)) / 2, rel=1e-10)
