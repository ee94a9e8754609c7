import numpy as np
import pytest
import torch
from torch import nn

from secateur.graph.trace import trace
from secateur.regularizers import HardConcrete
from secateur.regularizers.hard_concrete import chance, drawn, settled
from secateur.testing import case as cases

LEAF = "secateur_log_alpha"


@pytest.mark.parametrize("log_alpha", [-3.0, -1.0, 0.0, 2.0])
def test_chance_is_the_share_of_gates_that_are_not_zero(log_alpha):
    """Over a fine grid of u, and by the distribution function written out."""
    u = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    gates = drawn(torch.full_like(u, log_alpha), u)
    assert float((gates > 0).double().mean()) == pytest.approx(chance(torch.tensor(log_alpha)).item(), abs=1e-4)
    assert (gates.min() >= 0) & (gates.max() <= 1)
    # z > 0 where the concrete variable s exceeds 1 / 12, and P(s <= s') = sigmoid(beta logit s' - log alpha)
    wanted = 1 - 1 / (1 + np.exp(-(2 / 3 * np.log((1 / 12) / (11 / 12)) - log_alpha)))
    assert chance(torch.tensor(log_alpha, dtype=torch.float64)).item() == pytest.approx(wanted)


def test_settled_by_hand():
    assert settled(torch.tensor([0.0, -10.0, 10.0])).tolist() == pytest.approx([0.5, 0.0, 1.0])
    assert settled(torch.tensor(2.5)).item() == 1.0


@pytest.mark.parametrize("over", ["weight", "channel"])
@pytest.mark.parametrize("make", [cases.normed, cases.plain, cases.residual])
def test_baking_changes_nothing(make, over):
    subject = make()
    x = subject.batches[0][0]
    with HardConcrete(over=over).attach(subject.model, subject.graph), torch.no_grad():
        first = subject.model(x)
        for name, p in subject.model.named_parameters():
            if LEAF in name:
                p.copy_(torch.linspace(-4, 3, p.numel()).view(p.shape))
        changed = subject.model(x)
        assert not torch.allclose(first, changed)
    with torch.no_grad():
        assert torch.allclose(subject.model(x), changed, atol=1e-12)
    assert any((p == 0).any() for n, p in subject.model.named_parameters() if p.ndim > 1)
    assert not [n for n, _ in subject.model.named_parameters() if "secateur" in n]


def test_charge_by_hand():
    subject = cases.plain()
    with torch.no_grad():
        subject.model[0].weight[0, 0] = 0  # is not there to be counted
    with HardConcrete(strength=0.1).attach(subject.model, subject.graph):
        entries = sum(p.numel() for n, p in subject.model.named_parameters() if n.endswith("weight")) - 1
        found = HardConcrete(strength=0.1).penalty(cases.moment(subject)).item()
    assert found == pytest.approx(0.1 * entries / (1 + np.exp(-2.5 + 2 / 3 * np.log(0.1 / 1.1))))


def test_all_readers_of_a_unit_see_the_same_gate():
    """What two layers make of the same unit is multiplied with the same draw; the next pass draws again."""
    model = Fork().double()
    graph = trace(model, torch.zeros(1, 2).double())
    with HardConcrete(over="channel").attach(model, graph):
        for name, p in model.named_parameters():
            if LEAF in name:
                p.data.fill_(0.0)
        model.train()
        torch.manual_seed(0)
        with torch.no_grad():
            passes = [model(torch.ones(1, 2).double()) for _ in range(2)]
    for left, right in passes:
        assert torch.equal(left, right)
    assert not torch.equal(passes[0][0], passes[1][0])


class Fork(nn.Module):
    """Two readers with equal weights."""

    def __init__(self):
        super().__init__()
        self.first, self.left, self.right = nn.Linear(2, 5), nn.Linear(5, 3), nn.Linear(5, 3)
        self.right.load_state_dict(self.left.state_dict())

    def forward(self, x):
        h = self.first(x)
        return self.left(h), self.right(h)


def test_gates_learn_to_close():
    """Without a loss, the charge closes every gate, and nothing is left."""
    subject = cases.plain()
    how = HardConcrete(strength=1.0)
    with how.attach(subject.model, subject.graph):
        gates = [p for n, p in subject.model.named_parameters() if LEAF in n]
        optimizer = torch.optim.SGD(gates, lr=1.0)
        for _ in range(200):
            optimizer.zero_grad()
            how.penalty(cases.moment(subject)).backward()
            optimizer.step()
    assert not any(p.any() for n, p in subject.model.named_parameters() if n.endswith("weight"))
