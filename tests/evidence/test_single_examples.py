"""What the collectors of single examples find, against loops of plain autograd."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.criteria.oracles import gauss_newton_diagonal
from secateur.core import one_by_one
from secateur.core.errors import IncompatibleError
from secateur.core.rng import generator
from secateur.evidence import (
    ExampleGradient,
    FisherDiagonal,
    GaussNewtonDiagonal,
    MaskGradient,
    collect,
    example_gradient,
)
from secateur.evidence import gauss_newton_diagonal as gauss_newton
from secateur.graph.trace import trace
from secateur.testing import case as cases


class Tied(nn.Module):
    """One weight at two places, and a branch that looks at values, which torch cannot map over."""

    def __init__(self, looks):
        super().__init__()
        self.a, self.b, self.out = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False), nn.Linear(3, 2)
        self.b.weight = self.a.weight
        self.looks = looks

    def forward(self, x):
        h = torch.tanh(self.a(x))
        if self.looks and float(h.detach().sum()) > 0:
            h = 2 * h
        return self.out(self.b(h))


def example_gradients(model, batches, loss=F.cross_entropy):
    rows = []
    for x, y in batches:
        for k in range(len(x)):
            rows.append(torch.autograd.grad(loss(model(x[k : k + 1]), y[k : k + 1]), list(model.parameters())))
    return {n: torch.stack([row[k] for row in rows]) for k, (n, _) in enumerate(model.named_parameters())}


def networks():
    normed = cases.normed()
    yield normed.model, list(normed.batches), False
    for looks in (False, True):
        data = [(torch.randn(size, 3, generator=generator(size), dtype=torch.float64), torch.ones(size).long())
                for size in (4, 1, 3)]  # fmt: skip
        yield Tied(looks).double(), data, looks


@pytest.mark.parametrize(("model", "batches", "looks"), list(networks()), ids=["normed", "tied", "looks at values"])
def test_gradients_and_their_squares(model, batches, looks):
    wanted = example_gradients(model, batches)
    # with one example per pass, a branch that depends on the batch takes the way of that example
    graph = trace(model, batches[0][0])
    found = collect(model, batches, [ExampleGradient, FisherDiagonal], graph=graph)
    for name, rows in wanted.items():
        assert torch.allclose(found[ExampleGradient][name], rows, rtol=1e-10, atol=1e-14)
        assert torch.allclose(found[FisherDiagonal][name], rows.square().mean(0), rtol=1e-10, atol=1e-14)


def test_pieces_of_a_batch(monkeypatch):
    subject = cases.normed()
    whole = subject.evidence([FisherDiagonal])[FisherDiagonal]
    monkeypatch.setattr(one_by_one, "PIECE", 1)
    parts = subject.evidence([FisherDiagonal])[FisherDiagonal]
    assert all(torch.allclose(parts[n], v, rtol=1e-12) for n, v in whole.items())


def test_gauss_newton_against_jacobians():
    assert gauss_newton_diagonal.error() < 1e-12


@pytest.mark.parametrize("looks", [False, True])
def test_gauss_newton_of_a_network_that_torch_cannot_map_over(looks):
    model = Tied(looks).double()
    x, y = torch.randn(5, 3, generator=generator(1), dtype=torch.float64), torch.tensor([0, 1, 0, 1, 1])
    found = collect(model, [(x, y)], [GaussNewtonDiagonal], graph=trace(model, x))[GaussNewtonDiagonal]["a.weight"]
    wanted = torch.zeros(3, 3, dtype=torch.float64)
    for one in x:
        z = model(one.unsqueeze(0))[0]
        j = torch.stack([torch.autograd.grad(v, model.a.weight, retain_graph=True)[0] for v in z])
        p = z.softmax(0).detach()
        wanted += torch.einsum("aij,ab,bij->ij", j, torch.diag(p) - torch.outer(p, p), j) / len(x)
    assert torch.allclose(found, wanted, rtol=1e-10)


def test_gauss_newton_of_several_outputs_and_another_loss():
    """Squares of two outputs under different names: the Hessian in them is 2, so it is twice the squared Jacobians."""

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 2, bias=False), nn.Linear(3, 1, bias=False)

        def forward(self, x):
            return {"first": torch.sin(self.a(x)), "second": self.b(x), "count": 3}

    model = Two().double()
    x = torch.randn(4, 3, generator=generator(0), dtype=torch.float64)
    found = collect(
        model,
        [(x, None)],
        [GaussNewtonDiagonal],
        graph=trace(model, x),
        loss=lambda y, t: (y["first"].square().sum() + y["second"].square().sum()) / len(y["first"]),
    )[GaussNewtonDiagonal]
    slope = torch.cos(x @ model.a.weight.T).detach()
    assert torch.allclose(found["a.weight"], 2 * torch.einsum("no,ni->oi", slope**2, x**2) / 4, rtol=1e-10)
    assert torch.allclose(found["b.weight"], 2 * (x**2).mean(0, keepdim=True), rtol=1e-10)


def test_gauss_newton_leaves_negative_curvature_out():
    model = nn.Sequential(nn.Linear(2, 1, bias=False)).double()
    x = torch.ones(1, 2, dtype=torch.float64)
    found = collect(
        model, [(x, None)], [GaussNewtonDiagonal], graph=trace(model, x), loss=lambda y, t: -y.square().sum()
    )
    assert not found[GaussNewtonDiagonal]["0.weight"].any()


def test_too_many_outputs(monkeypatch):
    monkeypatch.setattr(gauss_newton, "LIMIT", 2)
    with pytest.raises(IncompatibleError, match=r"3 outputs.*hessian='fisher'"):
        cases.plain().evidence([GaussNewtonDiagonal])


def test_as_many_gradients_as_fit(monkeypatch):
    subject = cases.plain()
    size = 8 * sum(p.numel() for p in subject.model.parameters())
    everything = subject.evidence([ExampleGradient])[ExampleGradient]
    monkeypatch.setattr(example_gradient, "LEAST", 2)
    monkeypatch.setattr(example_gradient, "LIMIT", 6 * size)
    found = subject.evidence([ExampleGradient])[ExampleGradient]
    for name, rows in found.items():
        assert torch.allclose(rows, everything[name][:6], rtol=1e-10)
    halves = [cases.Case(subject.model, subject.graph, p).evidence([ExampleGradient])[ExampleGradient]
              for p in (subject.batches[:1], subject.batches[1:])]  # fmt: skip
    merged = ExampleGradient.merge(*halves, 4, 8)
    assert all(torch.allclose(merged[name], rows, rtol=1e-10) for name, rows in found.items())
    monkeypatch.setattr(example_gradient, "LIMIT", 2 * size - 1)
    with pytest.raises(IncompatibleError, match=r"1 fit into.*obd"):
        subject.evidence([ExampleGradient])


def test_factors_on_the_inputs_of_a_layer():
    """The derivative by a factor that is really there."""
    subject = cases.plain()
    found = subject.evidence([MaskGradient])[MaskGradient]
    assert set(found) == {"2.weight", "4.weight"}
    model = copy.deepcopy(subject.model)
    rows = []
    for x, y in subject.batches:
        for k in range(len(x)):
            m = torch.ones(6, dtype=torch.float64, requires_grad=True)
            out = model[2:](model[:2](x[k : k + 1]) * m)
            rows.append(torch.autograd.grad(F.cross_entropy(out, y[k : k + 1]), m)[0])
    assert torch.allclose(found["2.weight"], torch.stack(rows), rtol=1e-9, atol=1e-14)
