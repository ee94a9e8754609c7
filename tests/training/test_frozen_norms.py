"""Batch norms whose running statistics never follow are trained with the statistics that they will be used with."""

import torch
from torch import nn

from secateur.core.recipe import FineTune
from secateur.training import train_


def test_momentum_zero_trains_on_running_statistics():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=0.0), nn.ReLU(), nn.Linear(4, 2))
    model[1].running_mean.fill_(5.0)
    before = model[1].running_mean.clone()
    seen = []
    model[1].register_forward_hook(lambda m, args, out: seen.append((m.training, args[0].detach(), out.detach())))
    train_(model, [(torch.randn(8, 3), torch.randint(0, 2, (8,)))], FineTune(epochs=1, lr=1e-6))
    training, x, out = seen[0]
    assert not training
    torch.testing.assert_close(out, (x - 5) / (1 + model[1].eps) ** 0.5, rtol=1e-4, atol=1e-4)
    assert torch.equal(model[1].running_mean, before)
    assert model[1].training
