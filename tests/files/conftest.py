import pytest
import torch
from torch import nn

from secateur.apply.shrinking import shrink
from secateur.bench.zoo.lenet import lenet5
from secateur.bench.zoo.resnet import ResNet
from secateur.bench.zoo.vit import ViT
from secateur.core.plan import Provenance, PruningPlan
from secateur.granularity import Channel
from secateur.graph.probe import trial_widths
from secateur.graph.trace import trace


class Tied(nn.Module):
    """An auto-encoder whose decoder shares the encoder's weight, as tied embeddings do."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(12, 8)
        self.body = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
        self.head = nn.Linear(8, 12, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        return self.head(self.body(self.embed(tokens)))


MAKERS = {
    "lenet5": (lenet5, lambda: torch.zeros(1, 1, 28, 28)),
    "resnet": (lambda: ResNet(blocks=1), lambda: torch.zeros(1, 3, 32, 32)),
    "vit": (lambda: ViT(depth=1), lambda: torch.zeros(1, 3, 32, 32)),
    "tied": (Tied, lambda: torch.arange(6).reshape(1, 6)),
}


class Case:
    def __init__(self, name):
        self.make, example = MAKERS[name]
        self.example = example()
        torch.manual_seed(0)
        self.model = self.make()
        graph = trace(self.model, self.example)
        how = Provenance(criterion="by lot", budget="0.5 macs", reached=0.4321, seed=7, version="0.1.0")
        self.plan = PruningPlan(trial_widths(graph), Channel(), graph, how)
        self.small = shrink(self.model, self.plan, verify=False)


_CASES = {}


def case_of(name):
    if name not in _CASES:
        _CASES[name] = Case(name)
    return _CASES[name]


@pytest.fixture(params=list(MAKERS))
def case(request):
    return case_of(request.param)


@pytest.fixture
def lenet():
    return case_of("lenet5")


@pytest.fixture
def tied():
    return case_of("tied")
