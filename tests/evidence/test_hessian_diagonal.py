import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.criteria.oracles import hessian_diagonal as oracle
from secateur.core.rng import generator
from secateur.evidence import HessianDiagonal, collect, hessian_diagonal
from secateur.graph.trace import trace


def setting():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.randn(p.shape, generator=generator(0, name), dtype=torch.float64))
    x = torch.randn(12, 3, generator=generator(1), dtype=torch.float64)
    return model, x, torch.randint(3, (12,), generator=generator(2))


def hessian(model, x, y):
    """The whole Hessian in all parameters, entry by entry from autograd."""
    parameters = list(model.parameters())
    grads = torch.autograd.grad(F.cross_entropy(model(x), y), parameters, create_graph=True)
    flat = torch.cat([g.flatten() for g in grads])
    rows = [torch.autograd.grad(g, parameters, retain_graph=True, materialize_grads=True) for g in flat]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


def flat(found, model):
    return torch.cat([found[name].flatten() for name, _ in model.named_parameters()])


def test_exact_where_the_hessian_is_diagonal():
    assert oracle.error() < 1e-8


def test_scatters_as_theory_says(monkeypatch):
    """Off the diagonal entries add up with random signs: variance = sum of their squares / number of probes."""
    monkeypatch.setattr(hessian_diagonal, "PROBES", 400)
    model, x, y = setting()
    found = collect(model, [(x, y)], [HessianDiagonal], graph=trace(model, x))[HessianDiagonal]
    whole = hessian(model, x, y)
    spread = ((whole - torch.diag(whole.diagonal())).square().sum(1) / 400).sqrt()
    score = (flat(found, model) - whole.diagonal()) / spread
    assert float(score.abs().max()) < 4.5
    assert 0.5 < float(score.square().mean()) < 2
    assert float(whole.diagonal().min()) < 0  # the network is at no minimum, and the estimate keeps signs
    assert float(flat(found, model).min()) < 0


def test_batches_count_by_their_examples(monkeypatch):
    monkeypatch.setattr(hessian_diagonal, "PROBES", 400)
    model, x, y = setting()
    found = collect(model, [(x[:3], y[:3]), (x[3:], y[3:])], [HessianDiagonal], graph=trace(model, x))
    whole = hessian(model, x, y)
    parts = [hessian(model, x[:3], y[:3]), hessian(model, x[3:], y[3:])]
    off = [part - torch.diag(part.diagonal()) for part in parts]
    spread = ((off[0].square().sum(1) * 0.25**2 + off[1].square().sum(1) * 0.75**2) / 400).sqrt()
    score = (flat(found[HessianDiagonal], model) - whole.diagonal()) / spread
    assert float(score.abs().max()) < 4.5


def test_through_attention():
    """The fused forms of attention have no second derivatives."""

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.out = nn.Linear(4, 12), nn.Linear(4, 3)

        def forward(self, x):
            return self.out(F.scaled_dot_product_attention(*self.qkv(x).chunk(3, -1))).mean(1)

    model = Attention().double()
    x, y = torch.randn(2, 5, 4, generator=generator(0), dtype=torch.float64), torch.tensor([0, 1])
    found = collect(model, [(x, y)], [HessianDiagonal], graph=trace(model, x))[HessianDiagonal]
    assert found["qkv.weight"].any()


def test_linear_in_all_parameters():
    model = nn.Sequential(nn.Linear(3, 2)).double()
    x = torch.ones(2, 3, dtype=torch.float64)
    found = collect(model, [(x, None)], [HessianDiagonal], graph=trace(model, x), loss=lambda y, t: y.mean())
    assert not found[HessianDiagonal]["0.weight"].any()
