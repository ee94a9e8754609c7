"""The measure of equality itself: what it must never call equal."""

import pytest
import torch
from torch import nn

from secateur.apply import verify as module
from secateur.apply.verify import difference, verify
from secateur.core.errors import VerificationError
from secateur.core.plan import PruningPlan
from secateur.granularity import Channel
from secateur.graph.probe import trial_widths
from secateur.graph.trace import trace

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("a", "b", "gap"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 4.0], [1.0, 3.0], 0.25),
        ([1.0, INF], [1.0, INF], 0.0),
        ([1.0, INF], [1.0, -INF], INF),
        ([1.0, 2.0], [1.0, INF], INF),
        ([1.0, INF], [1.0, 2.0], INF),
        ([1.0, 2.0], [1.0, NAN], INF),
        ([1.0, NAN], [1.0, 2.0], INF),
        ([NAN, NAN], [NAN, NAN], INF),
        ([1.0], [1.0, 1.0], INF),
        ([], [], 0.0),
    ],
)
def test_difference(a, b, gap):
    assert difference([torch.tensor(a)], [torch.tensor(b)]) == gap
    good = torch.ones(2)  # a wrong output must not hide behind right ones, on either side
    for first, second in (
        ([good, torch.tensor(a)], [good, torch.tensor(b)]),
        ([torch.tensor(a), good], [torch.tensor(b), good]),
    ):
        assert difference(first, second) == gap


class Overflowing(nn.Module):
    """Gives nothing but infinities, so that any two such networks look alike."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.b(self.a(x)).abs() * 1e200 * 1e200 * 1e200


def test_infinite_answers_prove_nothing():
    model = Overflowing()
    graph = trace(model, torch.randn(2, 3))
    with pytest.raises(VerificationError, match="no finite numbers"):
        verify(model, PruningPlan(trial_widths(graph), Channel(), graph))


class Picky(nn.Module):
    """Mixes samples and channels where there are three samples, and does not run in training mode."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 6), nn.Linear(6, 2)

    def forward(self, x):
        if self.training:
            raise RuntimeError("inference only")
        hidden = self.a(x)
        return self.b(hidden - hidden.mean(1, keepdim=True) if len(x) == 3 else hidden)


def test_a_network_that_does_not_train_is_still_tried_on_more_samples():
    model = Picky()
    graph = trace(model, torch.randn(2, 3))
    with pytest.raises(VerificationError, match="differ"):
        verify(model, PruningPlan(trial_widths(graph), Channel(), graph))


def test_the_shrunk_network_is_judged_by_the_strictest_trial_that_runs(monkeypatch):
    seen = []
    real = module.strengthen_
    monkeypatch.setattr(module, "strengthen_", lambda m, **how: seen.append(how) or real(m, **how))
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    graph = trace(model, torch.randn(2, 3))
    assert verify(model, PruningPlan(trial_widths(graph), Channel(), graph)) < 1e-12
    assert seen == [{"positive": False, "double": True}]
