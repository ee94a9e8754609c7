from contextlib import nullcontext
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from secateur.core.contracts import Collector
from secateur.core.errors import MissingEvidenceError, SecateurError
from secateur.core.evidence import merge
from secateur.evidence import COLLECTORS, InputMean, SquaredGradient, Weight, collect
from secateur.graph.trace import trace
from secateur.testing import case as cases
from secateur.testing.regularizer import hooks

EVERYTHING = tuple(COLLECTORS.values())


def all_hooks(model):
    return [hooks(m) for m in model.modules()]


class Spy(Collector):
    """Remembers the private copy that collectors look at."""

    seen: nn.Module | None = None

    def start(self, model, graph):
        Spy.seen = model
        return nullcontext()

    def update(self, step):
        pass

    def result(self):
        return {}

    @staticmethod
    def merge(a, b, na, nb):
        return {}


class Twice(Spy):
    """Runs its own copy of the model, and has to see everything twice."""

    runs_itself = True
    walks = 2
    seen_by_all: ClassVar[list[tuple[int, int]]] = []

    def update(self, step):
        assert all(p.requires_grad for p in Spy.seen.parameters())
        assert not step.gradients
        loss = step.loss(step.example.call(Spy.seen), step.target)
        assert torch.autograd.grad(loss, next(iter(Spy.seen.parameters())))[0].any()
        Twice.seen_by_all.append((step.walk, step.samples))


def test_collectors_that_run_a_copy_of_their_own():
    """Nobody else's hooks see what they run, and the data are walked through as often as they ask."""
    subject = cases.normed()
    Twice.seen_by_all.clear()
    found = collect(subject.model, subject.batches, [Twice, InputMean], graph=subject.graph)
    assert Twice.seen_by_all == [(0, 4)] * 3 + [(1, 4)] * 3
    assert found.samples == 12
    alone = subject.evidence([InputMean])[InputMean]
    assert all(torch.equal(values, alone[name]) for name, values in found[InputMean].items())


def test_works_on_a_copy_and_leaves_no_hook_there():
    subject = cases.normed()
    collect(subject.model, subject.batches, (*EVERYTHING, Spy), graph=subject.graph)
    assert Spy.seen is not subject.model
    assert all_hooks(Spy.seen) == all_hooks(subject.model)


def test_hooks_go_when_the_model_raises():
    subject = cases.normed()
    wrong = [*subject.batches[:1], (torch.zeros(1, 1, 1, 1, dtype=torch.float64), None)]
    with pytest.raises(RuntimeError):
        collect(subject.model, wrong, (*EVERYTHING, Spy), graph=subject.graph)
    assert all_hooks(Spy.seen) == all_hooks(subject.model)


def test_merged_halves_are_the_whole():
    subject = cases.normed()
    additive = [need for need in EVERYTHING if need.additive]
    whole = subject.evidence(additive)
    a, b = (
        collect(subject.model, part, additive, graph=subject.graph)
        for part in (subject.batches[:1], subject.batches[1:])
    )
    both = merge(a, b)
    assert both.samples == whole.samples == 12
    for need in additive:
        for name, values in whole[need].items():
            assert torch.allclose(both[need][name], values, rtol=1e-10, atol=1e-15)


def test_merging_different_needs_is_refused():
    subject = cases.normed()
    with pytest.raises(MissingEvidenceError, match="Weight"):
        merge(subject.evidence([Weight]), subject.evidence([InputMean]))


def test_eval_mode_whatever_the_model_is_in():
    subject = cases.normed()
    wanted = subject.evidence([SquaredGradient])[SquaredGradient]
    subject.model.train()
    found = subject.evidence([SquaredGradient])[SquaredGradient]
    assert all(torch.equal(found[n], wanted[n]) for n in wanted)
    assert subject.model.training


def test_gradients_under_no_grad():
    subject = cases.normed()
    with torch.no_grad():
        found = subject.evidence([SquaredGradient])[SquaredGradient]
    assert float(found["0.weight"].sum()) > 0


def test_limit_and_progress():
    subject = cases.normed()
    calls = []
    found = collect(
        subject.model, subject.batches, [InputMean], graph=subject.graph, limit=2, progress=lambda *a: calls.append(a)
    )
    assert found.samples == 8
    assert calls == [("collect", 1, 2), ("collect", 2, 2)]


class Stream(IterableDataset):
    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def test_loader_without_length():
    """A DataLoader over a stream has `__len__`, but raises when asked."""
    subject = cases.normed()
    loader = DataLoader(Stream(subject.batches), batch_size=None)
    found = collect(subject.model, loader, [InputMean], graph=subject.graph)
    assert found.samples == 12


@pytest.mark.parametrize("needs", [[InputMean], [Weight, SquaredGradient]])
def test_no_data(needs):
    subject = cases.normed()
    with pytest.raises(MissingEvidenceError, match=needs[-1].__name__):
        collect(subject.model, None, needs, graph=subject.graph)
    with pytest.raises(MissingEvidenceError, match="no batches"):
        collect(subject.model, [], needs, graph=subject.graph)


def test_loss_that_is_not_finite():
    subject = cases.normed()
    with pytest.raises(SecateurError, match="nan"):
        collect(
            subject.model,
            subject.batches,
            [SquaredGradient],
            graph=subject.graph,
            loss=lambda y, t: y.sum() * float("nan"),
        )


def test_inputs_as_tuple_and_dict():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 3), nn.Linear(3, 2)

        def forward(self, x, y):
            return self.b(torch.relu(self.a(x + y)))

    model, x = Two().double(), torch.ones(3, 2, dtype=torch.float64)
    graph = trace(model, (x, x))
    forms = [(x, x), {"x": x, "y": x}]
    found = [collect(model, [(form, None)], [InputMean], graph=graph)[InputMean]["b.weight"] for form in forms]
    assert torch.equal(found[0], found[1])
