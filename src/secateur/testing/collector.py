"""The contract of collectors."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector
from secateur.core.evidence import merge
from secateur.testing import case as cases
from secateur.testing.case import Case
from secateur.testing.regularizer import hooks


class CollectorContract:
    """What every collector promises. Subclass it, and parametrise `collector` (a class) or define it as a fixture."""

    def test_detached_and_finite(self, collector: type[Collector]) -> None:
        """Values are finite, without gradient, under names of parameters of the model, or of its residual blocks."""
        subject = _subject(collector)
        found = _collected(collector, subject)
        assert found
        assert set(found) <= {name for name, _ in subject.model.named_parameters()} | set(subject.graph.blocks)
        for values in found.values():
            assert not values.requires_grad
            assert bool(torch.isfinite(values).all())

    def test_two_halves_make_a_whole(self, collector: type[Collector]) -> None:
        """Evidence from some batches merged with evidence from the others is evidence from all of them, if so said."""
        if not collector.additive:
            return
        subject = _subject(collector)
        whole = subject.evidence([collector])
        for split in (1, 2):
            parts = [subject.batches[:split], subject.batches[split:]]
            a, b = (Case(subject.model, subject.graph, part).evidence([collector]) for part in parts)
            before = {name: values.clone() for name, values in a[collector].items()}
            both = merge(a, b)
            assert both.samples == whole.samples
            for name, values in whole[collector].items():
                assert torch.allclose(both[collector][name], values, rtol=1e-9, atol=1e-12)
                assert torch.equal(a[collector][name], before[name])

    def test_deterministic(self, collector: type[Collector]) -> None:
        """Twice the same data gives twice the same values, and the global random state stays put."""
        subject = _subject(collector)
        state = torch.get_rng_state()
        first, second = _collected(collector, subject), _collected(collector, subject)
        assert torch.equal(torch.get_rng_state(), state)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_half_precision(self, collector: type[Collector]) -> None:
        """Sums over a half-precision network are kept in float32 or better."""
        half = cases.in_precision(_subject(collector), torch.bfloat16)
        assert all(torch.finfo(values.dtype).bits >= 32 for values in _collected(collector, half).values())

    def test_no_hook_is_left(self, collector: type[Collector]) -> None:
        """Leaving the context removes every hook, also when the model raised inside."""
        subject = _subject(collector)
        before = [hooks(m) for m in subject.model.modules()]
        with collector().start(subject.model, subject.graph):
            subject.model(subject.batches[0][0])
        assert [hooks(m) for m in subject.model.modules()] == before
        try:
            with collector().start(subject.model, subject.graph):
                subject.model(torch.zeros(1, 1, 1, 1, dtype=torch.float64))
        except RuntimeError:
            pass
        assert [hooks(m) for m in subject.model.modules()] == before

    def test_model_untouched(self, collector: type[Collector]) -> None:
        """Collecting changes no tensor, gradient, mode or flag of the model."""
        subject = _subject(collector)
        subject.model.train()
        next(subject.model.parameters()).requires_grad_(False)
        before = copy.deepcopy(subject.model)
        _collected(collector, subject)
        _check_same(before, subject.model)

    def test_result_is_a_snapshot(self, collector: type[Collector]) -> None:
        """Training on after collecting does not change what was collected."""
        subject = _subject(collector)
        one = collector()
        with one.start(subject.model, subject.graph):
            pass
        found = dict(_collected(collector, subject))
        before = {name: values.clone() for name, values in found.items()}
        with torch.no_grad():
            for parameter in subject.model.parameters():
                parameter.add_(1)
        assert all(torch.equal(found[name], before[name]) for name in before)


def _subject(collector: type[Collector]) -> Case:
    """A network of convolutions, or one of residual blocks where nothing is to be known of the former."""
    return cases.normed() if _collected(collector, cases.normed()) else cases.residual()


def _collected(collector: type[Collector], subject: Case) -> Mapping[str, Tensor]:
    return subject.evidence([collector])[collector]


def _check_same(before: nn.Module, after: nn.Module) -> None:
    for (name, p), (_, q) in zip(before.named_parameters(), after.named_parameters(), strict=True):
        assert torch.equal(p, q), name
        assert q.grad is None
        assert p.requires_grad == q.requires_grad
    for (name, b), (_, c) in zip(before.named_buffers(), after.named_buffers(), strict=True):
        assert torch.equal(b, c), name
    assert [m.training for m in before.modules()] == [m.training for m in after.modules()]
