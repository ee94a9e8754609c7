import torch
from torch import nn

from benchmarks.criteria.oracles import mean_activation as oracle
from secateur.criteria import MeanActivation
from secateur.evidence import collect
from secateur.graph.trace import trace
from secateur.planning import score


def scores(model, x):
    graph = trace(model, x)
    return score(graph, MeanActivation(), collect(model, [(x, None)], MeanActivation.needs, graph=graph)).values


def test_against_adding_up():
    assert oracle.error() < 1e-12


def test_negative_activations_count_by_size():
    model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Identity(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [-3.0]]))
    assert scores(model, torch.tensor([[1.0], [-2.0]]).double())["0"].tolist() == [1.5, 4.5]


def test_tokens_and_transposed_convolutions():
    x = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0)).double()
    tokens = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    assert torch.allclose(scores(tokens, x)["0"], tokens[:2](x).mean((0, 1)).detach(), rtol=1e-12)
    back = nn.Sequential(nn.Conv1d(3, 4, 1), nn.ReLU(), nn.ConvTranspose1d(4, 2, 3)).double()
    assert torch.allclose(scores(back, x)["0"], back[:2](x).mean((0, 2)).detach(), rtol=1e-12)


def test_grouped_transposed_convolutions():
    """Its weight lists all four input channels; units 0 and 1 own two each, one of every group."""
    model = nn.Sequential(
        nn.Conv1d(1, 4, 1), nn.ReLU(), nn.ConvTranspose1d(4, 4, 1, groups=2), nn.ReLU(), nn.Conv1d(4, 1, 1)
    ).double()
    x = torch.randn(3, 1, 5, generator=torch.Generator().manual_seed(1)).double()
    means = model[:2](x).mean((0, 2)).detach()
    assert torch.allclose(scores(model, x)["0"], (means[:2] + means[2:]) / 2, rtol=1e-12)
