import copy
from itertools import pairwise

import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import synflow as oracle
from secateur.core.rng import generator
from secateur.criteria import SynFlow
from secateur.evidence import SynapticFlow, collect
from secateur.granularity import Weight
from secateur.graph.trace import trace
from secateur.planning import score
from secateur.testing import case as cases


def test_against_all_paths():
    assert oracle.error() < 1e-12


def test_flow_is_conserved():
    """Without biases every layer carries the same flow in all, and what comes into a unit goes out of it."""
    model = oracle.network()
    layers = [v.view(o, i) for v, (i, o) in zip(oracle.scores(model).values(), [(3, 5), (5, 4), (4, 2)], strict=True)]
    for before, after in pairwise(layers):
        assert torch.allclose(before.sum(1), after.sum(0), rtol=1e-12)
    assert [float(w.sum()) for w in layers] == pytest.approx([float(layers[0].sum())] * 3, rel=1e-12)


def test_flow_of_convolutions_with_norm_and_bias():
    """The flow that reaches the output is R; whatever enters the last layer over weights or bias is all of it."""
    case = cases.normed()
    found = case.evidence([SynapticFlow])[SynapticFlow]
    positive = copy.deepcopy(case.model)
    for tensor in (*positive.parameters(), *positive.buffers()):
        tensor.data = tensor.data.abs()
    output = float(positive(torch.ones(2, 2, 6, 6, dtype=torch.float64)).detach().sum())
    assert float(found["7.weight"].sum() + found["7.bias"].sum()) == pytest.approx(output, rel=1e-12)


def test_deep_networks_do_not_overflow():
    layers = [nn.Linear(64, 64, bias=False) for _ in range(60)]
    with torch.no_grad():
        for number, layer in enumerate(layers):
            layer.weight.copy_(torch.randn(64, 64, generator=generator(number)))
    model = nn.Sequential(*layers)
    graph = trace(model, torch.zeros(1, 64))
    found = collect(model, None, SynFlow.needs, graph=graph)
    assert all(bool(torch.isfinite(v).all()) and bool((v > 0).all()) for v in found[SynapticFlow].values())


def test_tokens_and_masks():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.out = nn.Embedding(9, 4), nn.Linear(4, 3)

        def forward(self, tokens, mask):
            return self.out((self.embed(tokens) * mask[..., None]).sum(1))

    model = Masked().double()
    graph = trace(model, (torch.tensor([[1, 2, 8]]), torch.tensor([[True, True, False]])))
    found = score(graph, SynFlow(), collect(model, None, SynFlow.needs, graph=graph), granularity=Weight()).values
    # the token 1, or the least seen in the example made of the spec, three times
    flows = [3 * model.embed.weight[t].abs() * model.out.weight.abs() for t in range(9)]
    assert any(torch.allclose(found["out.weight"].view(3, 4), f.detach(), rtol=1e-12) for f in flows)
