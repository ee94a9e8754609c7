import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import taylor2017 as oracle
from secateur.core.errors import IncompatibleError
from secateur.criteria import Taylor2017
from secateur.evidence import FeatureTaylor, collect
from secateur.graph.trace import trace
from secateur.planning import score
from secateur.testing import case as cases


def scores(model, batches, loss):
    graph = trace(model, batches[0][0])
    evidence = collect(model, batches, Taylor2017.needs, graph=graph, loss=loss)
    return score(graph, Taylor2017(normalize=False), evidence).values


def test_against_autograd_example_by_example():
    assert oracle.error() < 1e-12


def test_against_finite_differences():
    case = cases.normed()
    found = score(case.graph, Taylor2017(normalize=False), case.evidence(Taylor2017.needs)).values
    for name, cut in (("0", 3), ("3", 6)):
        assert found[name].tolist() == pytest.approx(oracle.moved(case, cut), rel=1e-6)


def mean(output, target):
    return output.mean()


def test_absolute_values_are_taken_example_by_example():
    """y = v . relu(W x): a dL/da is v_i h_i. Over the two examples unit 0 gives +2 and -2, which must not cancel."""
    model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Identity(), nn.Linear(2, 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [0.5]]))
        model[2].weight.copy_(torch.tensor([[2.0, -3.0]]))
    x = torch.tensor([[1.0], [-1.0]]).double()
    assert scores(model, [(x, None)], mean)["0"].tolist() == [2.0, 1.5]
    halves = [(x[:1], None), (x[1:], None)]
    assert scores(model, halves, mean)["0"].tolist() == [2.0, 1.5]


def test_places_are_averaged_with_their_signs():
    """One map over two places with effects +1 and -1 has none; the same sign gives the mean."""
    model = nn.Sequential(nn.Conv1d(1, 2, 1, bias=False), nn.Identity(), nn.Conv1d(2, 1, 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([1.0, 2.0]).view(2, 1, 1))
        model[2].weight.fill_(1)
    flat = torch.tensor([[[1.0, -1.0]]]).double()
    assert scores(model, [(flat, None)], lambda y, _: y.sum())["0"].tolist() == [0, 0]
    assert scores(model, [(flat.abs(), None)], lambda y, _: y.sum())["0"].tolist() == [1, 2]


def test_a_flattened_map_is_one_map():
    """Its four columns are averaged before the absolute value is taken."""
    case = cases.normed()
    found = case.evidence([FeatureTaylor])[FeatureTaylor]["7.weight"].view(4, 16)
    assert torch.equal(found, found[:, :1].expand(4, 16))


class TwoReaders(nn.Module):
    """One layer's units are read as they are, and doubled."""

    def __init__(self):
        super().__init__()
        self.make, self.a, self.b = (
            nn.Linear(2, 3, bias=False),
            nn.Linear(3, 1, bias=False),
            nn.Linear(3, 1, bias=False),
        )

    def forward(self, x):
        h = self.make(x)
        return self.a(h + 0) + self.b(2 * h)


def test_of_several_readers_the_mean_counts():
    model, x = TwoReaders().double(), torch.tensor([[1.0, 2.0]]).double()
    h = model.make(x)[0]
    wanted = ((h * model.a.weight[0]).abs() + (2 * h * model.b.weight[0]).abs()) / 2
    assert torch.allclose(scores(model, [(x, None)], mean)["make"], wanted.detach(), rtol=1e-12)


class Unread(nn.Module):
    """The hidden units are read by a bare matrix, not by a layer."""

    def __init__(self):
        super().__init__()
        self.make, self.out = nn.Linear(2, 3), nn.Parameter(torch.ones(3, 2))

    def forward(self, x):
        return torch.relu(self.make(x)) @ self.out


def test_units_that_no_layer_reads_are_named():
    with pytest.raises(IncompatibleError, match="none was seen reading group 'make'"):
        scores(Unread(), [(torch.zeros(1, 2), None)], mean)
