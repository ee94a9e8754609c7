"""Auxiliary classifiers: where they stand, that they learn, and whose gradients are gathered."""

import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import dcp as oracle
from secateur.core.contracts import Step
from secateur.core.example import Example
from secateur.evidence import Discrimination, collect, cross_entropy
from secateur.evidence.discrimination import Head
from secateur.graph.trace import trace
from secateur.testing import case as cases


def test_gradients_by_finite_differences():
    subject = cases.normed()
    assert oracle.gradients(subject, subject.evidence([Discrimination])) < 1e-7


def test_a_head_is_norm_relu_average_linear():
    torch.manual_seed(0)
    head = Head(4, 3, torch.float64)
    norm = nn.BatchNorm2d(4).double()
    linear = nn.Linear(4, 3).double()
    with torch.no_grad():
        for p in head.parameters():
            p.copy_(torch.randn_like(p))
        norm.weight.copy_(head.scale), norm.bias.copy_(head.shift)
        linear.weight.copy_(head.weight), linear.bias.copy_(head.bias)
    x = torch.randn(5, 4, 3, 2, dtype=torch.float64)
    wanted = linear(norm(x).relu().mean((2, 3)))
    assert torch.allclose(head(x.flatten(2).mT), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("depth", "places"), [(1, []), (2, ["0.weight"]), (3, ["0.weight", "2.weight"]), (7, ["4.weight", "8.weight"])]
)
def test_even_distances(depth, places):
    layers = [m for n in range(depth) for m in (nn.Linear(3, 3), nn.ReLU())][:-1]
    model = nn.Sequential(*layers)
    one = Discrimination()
    with one.start(model, trace(model, torch.zeros(2, 3))):
        assert list(one._watched) == places


def test_classifiers_learn():
    """After two walks through data in which the first layer tells classes apart, the loss is well below log 2."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2)).double()
    x = torch.randn(64, 4, dtype=torch.float64)
    y = (x[:, 0] > 0).long()
    one = Discrimination()
    with one.start(model, trace(model, x)):
        for walk in range(2):
            for _ in range(8):
                one.update(Step({}, 64, Example.of(x), y, cross_entropy, walk))
        with torch.no_grad():
            losses = [cross_entropy(one._logits(n, model(x)), y).item() for n in ("0.weight", "2.weight")]
        assert max(losses) < 0.5


def test_outputs_that_are_no_classes_leave_the_networks_own_loss():
    """A map of scores for every place: no classifiers, and plain gradients of the loss."""
    subject = cases.folding()
    found = subject.evidence([Discrimination])[Discrimination]
    subject.model.requires_grad_(True)
    total = sum(cross_entropy(subject.model(x), y) * len(x) for x, y in subject.batches)
    wanted = torch.autograd.grad(total / 12, subject.model[2].weight)[0]
    assert set(found) == {"2.weight"}
    assert torch.allclose(found["2.weight"], wanted, rtol=1e-10, atol=1e-14)


def test_writing_in_place_behind_a_layer_is_no_trouble():
    torch.manual_seed(0)
    first, second, last = nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 2)
    x, y = torch.randn(8, 4, dtype=torch.float64), torch.randint(2, (8,))
    found = []
    for inplace in (False, True):
        model = nn.Sequential(first, nn.ReLU(inplace), second, nn.ReLU(inplace), last).double()
        found.append(collect(model, [(x, y)], [Discrimination], graph=trace(model, x))[Discrimination])
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][n], found[1][n]) for n in found[0])
