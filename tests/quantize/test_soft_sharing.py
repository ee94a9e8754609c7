"""The mixture against torch's own distribution, and a network that falls into clumps."""

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, MixtureSameFamily, Normal

from secateur.core.errors import IncompatibleError
from secateur.core.rng import generator
from secateur.quantize import quantize, quantized_of
from secateur.quantize.soft_sharing import Mixture


def test_penalty_is_torchs_log_likelihood():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).double()
    mixture = Mixture(model, ["0.weight", "1.weight"], components=3, zero_share=0.7)
    shares = torch.cat([torch.tensor([0.7]), 0.3 * torch.softmax(mixture.logits.detach(), 0)]).double()
    means = torch.cat([torch.zeros(1), mixture.means.detach()])
    known = MixtureSameFamily(Categorical(shares), Normal(means, mixture.log_stds.detach().exp()))
    values = torch.cat([model[0].weight.detach().flatten(), model[1].weight.detach().flatten()])
    assert float(mixture.penalty(model).detach()) == pytest.approx(-float(known.log_prob(values).sum()), rel=1e-6)


def test_weights_fall_into_clumps():
    """A regression whose inputs leave freedom: weights end on a few values, most at zero, and the error stays low."""
    torch.manual_seed(0)
    x = torch.randn(60, 20, generator=generator(0, "x"))
    true = torch.zeros(20, 1)
    true[:6] = torch.tensor([1.0, 1.0, -1.0, 1.0, -1.0, -1.0])[:, None]
    y = x @ true + 0.05 * torch.randn(60, 1, generator=generator(1, "y"))
    model = nn.Linear(20, 1, bias=False)
    mixture = Mixture(model, ["weight"], components=4, zero_share=0.8, narrowest=0.01)
    optimizer = torch.optim.Adam(
        [{"params": model.parameters(), "lr": 0.02}, {"params": mixture.parameters(), "lr": 0.02}]
    )
    for _ in range(500):
        optimizer.zero_grad()
        ((model(x) - y).square().mean() + 2e-3 * mixture.penalty(model)).backward()
        optimizer.step()
    small = quantize(model, mixture.quantizer(), only=mixture.names)
    values = quantized_of(small)["weight"].values()
    assert not values[0, 6:].any()
    assert len(values.unique()) <= 4
    assert float((small(x) - y).detach().square().mean()) < 0.05


def test_refuses():
    with pytest.raises(IncompatibleError, match="zero_share=2"):
        Mixture(nn.Linear(2, 2), ["weight"], zero_share=2)
