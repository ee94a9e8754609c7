import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import block_scale as oracle
from secateur.core.budget import Budget
from secateur.core.errors import IncompatibleError
from secateur.criteria import BlockScale
from secateur.evidence import BlockScale as Scale
from secateur.evidence import collect
from secateur.granularity import Layer
from secateur.graph.trace import trace
from secateur.planning import plan, score
from secateur.regularizers import SSS
from secateur.regularizers.gates import block_gates
from secateur.testing import case as cases


def test_agrees_with_its_oracle():
    assert oracle.error() < 1e-12


def test_trained_factors_decide():
    """Of factors 0.5, 0 and 0.25 that SSS has trained, the block with none goes first and that with a quarter next."""
    subject = cases.residual()
    for name in subject.graph.blocks:
        nn.init.ones_(subject.model.get_submodule(name).bn2.weight)
    with SSS(over="block").attach(subject.model, subject.graph):
        for gate, factor in zip(block_gates(subject.model, subject.graph), (0.5, 0.0, 0.25), strict=True):
            with torch.no_grad():
                subject.model.get_parameter(f"{gate.home}.secateur_block_scale").fill_(factor)
    evidence = subject.evidence(BlockScale.needs)
    found = score(subject.graph, BlockScale(), evidence, granularity=Layer())
    assert found.values["layers"].tolist() == [0.5, 0.0, 0.25]
    removed = [plan(subject.graph, found, Budget(keep, "units")).removed for keep in (0.7, 0.4)]
    assert removed == [subject.graph.blocks[1:2], subject.graph.blocks[1:]]


class Before(nn.Module):
    """A norm in front of the layer, as in transformers and pre-activation networks."""

    def __init__(self, ends):
        super().__init__()
        self.norm, self.mix = nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)
        self.last = nn.BatchNorm2d(3) if ends else nn.Identity()

    def forward(self, x):
        return x + self.last(self.mix(torch.relu(self.norm(x))))


def traced(*blocks):
    model = nn.Sequential(nn.Conv2d(1, 3, 1), *blocks, nn.Flatten(), nn.Linear(48, 2)).double().eval()
    graph = trace(model, torch.randn(2, 1, 4, 4, dtype=torch.float64), depth=True)
    assert graph.blocks == ("1", "2")
    return model, graph


def test_norms_in_front_do_not_count():
    model, graph = traced(Before(True), Before(True))
    with torch.no_grad():
        model[1].norm.weight.fill_(7)
        model[1].last.weight.copy_(torch.tensor([1.0, -2.0, 3.0]))
    found = collect(model, None, [Scale], graph=graph)
    assert BlockScale().score(graph.blocks, found).tolist() == [2, 1]


def test_blocks_without_a_norm_are_named():
    model, graph = traced(Before(True), Before(False))
    with pytest.raises(IncompatibleError, match=r"block '2' ends in no batch norm.*block_influence"):
        BlockScale().score(graph.blocks, collect(model, None, [Scale], graph=graph))
