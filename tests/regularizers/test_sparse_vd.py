from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from secateur.core.budget import Budget
from secateur.core.recipe import FineTune
from secateur.methods import recipe
from secateur.regularizers import SparseVD
from secateur.regularizers.sparse_vd import _normal, divergence
from secateur.surgeries import Gradual
from secateur.testing import case as cases
from secateur.training import Session

VARIANCE = "secateur_log_variance"


def exact(log_alpha):
    """KL to the log-uniform prior up to a constant: E log |1 + sqrt(alpha) e| - 1/2 log alpha, e normal."""
    root = np.exp(log_alpha / 2)

    def integrand(e):
        return np.log(np.abs(1 + root * e)) * np.exp(-e * e / 2) / np.sqrt(2 * np.pi)

    at = -1 / root
    points = [at] if -12 < at < 12 else None
    return quad(integrand, -12, 12, points=points, limit=500, full_output=1)[0] - 0.5 * log_alpha


@pytest.mark.parametrize("log_alpha", [-6.0, -3.0, -1.0, 0.0, 1.0, 3.0])
def test_divergence_against_the_integral(log_alpha):
    """The published approximation is good to a hundredth; for large alpha both are constant."""
    found = divergence(torch.tensor(log_alpha, dtype=torch.float64)).item()
    assert found == pytest.approx(exact(log_alpha) - exact(12.0), abs=0.02)
    k1, k2, k3 = 0.63576, 1.87320, 1.48695
    told = k1 - (k1 / (1 + np.exp(-k2 - k3 * log_alpha)) - 0.5 * np.log1p(np.exp(-log_alpha)))
    assert found == pytest.approx(told, abs=1e-12)


def test_noise_of_outputs_is_that_of_noisy_weights():
    """Local reparametrisation: mean and variance of outputs as if every weight were drawn."""
    subject = cases.folding()
    x, _ = subject.batches[0]
    layer = subject.model[0]
    with SparseVD().attach(subject.model, subject.graph):
        with torch.no_grad():
            layer.get_parameter(VARIANCE).fill_(-2.0)
            layer.weight[0, 0, 0, 0] = 0  # has no noise
        layer.train()
        torch.manual_seed(0)
        found = torch.stack([layer(x).detach() for _ in range(1500)])
        layer.eval()
        assert torch.equal(layer(x), layer(x))
        variance = torch.full_like(layer.weight, np.exp(-2.0)).detach()
        variance[0, 0, 0, 0] = 0
        wanted = torch.nn.functional.conv2d(x.square(), variance)
        assert torch.allclose(found.mean(0), layer(x).detach(), atol=0.3)
        assert torch.allclose(found.var(0), wanted, rtol=0.25, atol=1e-6)


def test_drowned_weights_go():
    subject = cases.plain()
    before = subject.model[0].weight.detach().clone()
    with SparseVD().attach(subject.model, subject.graph), torch.no_grad():
        log_variance = subject.model[0].get_parameter(VARIANCE)
        log_variance.copy_(before.square().log() + 2.9)
        log_variance[1] += 0.2
    assert not subject.model[0].weight[1].any()
    others = torch.arange(6) != 1
    assert torch.equal(subject.model[0].weight[others], before[others])
    assert not [n for n, _ in subject.model.named_parameters() if "secateur" in n]


def test_warm_up():
    subject = cases.plain()
    how = SparseVD(warm_up=0.5)
    with how.attach(subject.model, subject.graph):
        charges = [how.penalty(cases.moment(subject, step=s, steps=8)).item() for s in (0, 1, 2, 4, 8)]
    assert charges == pytest.approx([0, charges[3] / 4, charges[3] / 2, charges[3], charges[3]])


def test_with_masks_in_a_session():
    """Variances are trained beside the weights, and a mask holds through noise and baking."""
    subject = cases.normed()
    x, y = subject.batches[0]
    how = replace(
        recipe("gmp"), regularizer=SparseVD(strength=1e-2), surgery=Gradual(end=0.5, every=1), sparsify=FineTune()
    )
    how = replace(how, budget=Budget("0.3 weights"))
    optimizer = torch.optim.Adam(subject.model.parameters(), lr=0.05)
    with Session(subject.model, optimizer, how, graph=subject.graph, steps=8) as session:
        variance = subject.model[0].get_parameter(VARIANCE)
        first = variance.detach().clone()
        subject.model.train()
        for _ in range(8):
            optimizer.zero_grad()
            (torch.nn.functional.cross_entropy(subject.model(x), y) + session.penalty()).backward()
            optimizer.step()
            session.step()
        assert not torch.equal(variance, first)
    masks = session.plan.masks()
    assert 0 < sum(int(m.sum()) for m in masks.values()) <= 0.3 * sum(m.numel() for m in masks.values())
    for name, keep in masks.items():
        owner, _, leaf = name.rpartition(".")
        assert not getattr(subject.model.get_submodule(owner), leaf)[~keep].any()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_noise_lies_as_the_output_does(layout):
    """Every entry is a fresh standard normal number: no two are alike, and moments are those of so many draws."""
    like = torch.zeros(8, 5, 50, 50, dtype=torch.float64).to(memory_format=layout)
    torch.manual_seed(0)
    noise = _normal(like)
    assert noise.stride() == like.stride()
    assert noise.unique().numel() == noise.numel() == 100_000
    assert abs(float(noise.mean())) < 4 / 100_000**0.5
    assert abs(float(noise.square().mean()) - 1) < 4 * (2 / 100_000) ** 0.5
