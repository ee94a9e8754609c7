from math import cos, pi

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from secateur.core.errors import IncompatibleError, MissingEvidenceError, SecateurError
from secateur.core.recipe import FineTune
from secateur.core.rng import generator
from secateur.testing import case as cases
from secateur.training import train_
from secateur.training.loop import learning_rate


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 100, 101])
def test_learning_rate_rises_then_falls_along_a_cosine(steps):
    course = [learning_rate(step, steps) for step in range(steps)]
    rise = max(1, round(0.1 * steps))
    assert course[:rise] == pytest.approx([(n + 1) / rise for n in range(rise)])
    assert course[rise:] == pytest.approx([(1 + cos(pi * n / (steps - rise))) / 2 for n in range(steps - rise)])
    assert max(course) == 1
    assert min(course) > 0


def test_learning_rate_by_hand():
    assert [learning_rate(step, 12) for step in (0, 1, 6)] == pytest.approx([1, 1, 0.5 * (1 + cos(pi * 5 / 11))])


def steps_taken(how, batches, **options):
    """The parameter after each step of minimising its own value: a record of learning rates."""
    model = nn.Linear(1, 1, bias=False).double()
    with torch.no_grad():
        model.weight.fill_(0)
    course = []
    taken = train_(
        model,
        batches,
        how,
        loss=lambda y, t: y.sum(),
        progress=lambda *a: course.append(model.weight.item()),
        **options,
    )
    return taken, course


def test_one_epoch_by_hand():
    """Plain descent: with adam off and gradient one, sgd with Nesterov momentum 0.9 from zero."""
    one = [(torch.ones(1, 1, dtype=torch.float64), None)] * 20
    taken, course = steps_taken(FineTune(epochs=1, lr=0.1, weight_decay=0.0), one)
    assert taken == 20
    value, speed = 0.0, 0.0
    for step, found in enumerate(course):
        speed = 0.9 * speed + 1
        value -= 0.1 * learning_rate(step, 20) * (1 + 0.9 * speed)
        assert found == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("epochs", "steps"), [(0.5, 2), (1, 4), (2.5, 10), (0.01, 1)])
def test_fractions_of_epochs(epochs, steps):
    batch = (torch.ones(1, 1, dtype=torch.float64), None)
    assert steps_taken(FineTune(epochs=epochs), [batch] * 4)[0] == steps


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_same_seed_same_network(optimizer):
    def trained(seed):
        subject = cases.normed()
        subject.model.append(nn.Dropout(0.3))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            train_(subject.model, subject.batches, FineTune(epochs=2, optimizer=optimizer))
        return subject.model.state_dict()

    first, again, other = trained(1), trained(1), trained(2)
    assert all(torch.equal(first[n], again[n]) for n in first)
    assert not all(torch.equal(first[n], other[n]) for n in first)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_learns(optimizer):
    x = torch.randn(64, 4, generator=generator(0))
    y = (x[:, 0] > 0).long()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    batches = [(x[i::4], y[i::4]) for i in range(4)]
    train_(model, batches, FineTune(epochs=20, lr=0.05, optimizer=optimizer))
    assert (model(x).argmax(1) == y).float().mean() > 0.95


@pytest.mark.parametrize("bad", ["nan", "inf"])
def test_a_loss_that_is_not_finite_stops_before_the_step(bad):
    subject = cases.normed()
    before = {n: p.detach().clone() for n, p in subject.model.named_parameters()}
    with pytest.raises(SecateurError, match=f"the loss is {bad} at step 0. Lower lr=0.01"):
        train_(subject.model, subject.batches, FineTune(), loss=lambda y, t: y.sum() * 0 + float(bad))
    assert all(torch.equal(p, before[n]) for n, p in subject.model.named_parameters())


def test_generators_are_refused_with_advice():
    subject = cases.normed()
    with pytest.raises(MissingEvidenceError, match="Pass a list or a DataLoader, not a generator"):
        train_(subject.model, (b for b in subject.batches), FineTune())


@pytest.mark.parametrize("empty", [[], iter(())])
def test_no_batches(empty):
    with pytest.raises(MissingEvidenceError, match="no batches"):
        train_(cases.normed().model, empty, FineTune())


class Stream(IterableDataset):
    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def test_loader_without_length():
    subject = cases.normed()
    assert train_(subject.model, DataLoader(Stream(subject.batches), batch_size=None), FineTune(epochs=2)) == 6


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_modes_and_gradients_are_put_back(training, fails):
    """Also of single modules: a frozen norm in a training network stays frozen."""
    subject = cases.normed()
    subject.model.train(training)
    subject.model[1].train(not training)
    modes = [m.training for m in subject.model.modules()]
    frozen = subject.model[0].weight.requires_grad_(False)
    before = frozen.clone()

    def loss(y, t):
        if fails:
            raise KeyError
        return y.square().mean()

    try:
        train_(subject.model, subject.batches, FineTune(), loss=loss)
    except KeyError:
        assert fails
    assert [m.training for m in subject.model.modules()] == modes
    assert all(p.grad is None for p in subject.model.parameters())
    assert not frozen.requires_grad
    assert torch.equal(frozen, before)


def test_trains_in_training_mode():
    seen = []

    class Look(nn.Module):
        def forward(self, x):
            seen.append(self.training)
            return x

    model = nn.Sequential(nn.Linear(1, 1), Look()).eval()
    train_(model, [(torch.ones(1, 1), None)], FineTune(), loss=lambda y, t: y.sum())
    assert seen == [True]


def test_progress():
    subject, calls = cases.normed(), []
    train_(subject.model, subject.batches, FineTune(epochs=2), progress=lambda *a: calls.append(a), what="mend")
    assert calls == [("mend", n, 6) for n in range(1, 7)]


def test_how_is_checked():
    with pytest.raises(IncompatibleError, match="epochs=0, lr=-1, optimizer='lion'"):
        FineTune(epochs=0, lr=-1, optimizer="lion")
