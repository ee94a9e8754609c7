"""The contract of regularisers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from secateur.apply.masking import mask_, masks_of, unmask_
from secateur.core.contracts import Regularizer
from secateur.core.moment import Moment
from secateur.testing import case as cases
from secateur.testing.criterion import check_docstring, check_value


class RegularizerContract:
    """What every regulariser promises. Subclass it, and parametrise `regularizer` or define it as a fixture."""

    def test_scalar_and_not_negative(self, regularizer: Regularizer) -> None:
        """The penalty is one finite number, zero or more, and not zero everywhere."""
        subject = cases.normed()
        with regularizer.attach(subject.model, subject.graph):
            found = regularizer.penalty(_started(subject, regularizer)).detach()
        assert found.shape == ()
        assert bool(torch.isfinite(found))
        assert float(found) > 0

    def test_zero_on_zero(self, regularizer: Regularizer) -> None:
        """A network of zeros is charged nothing."""
        subject = cases.filled(cases.normed(), 0.0)
        with regularizer.attach(subject.model, subject.graph):
            assert float(regularizer.penalty(_started(subject, regularizer)).detach()) == 0

    def test_gradient(self, regularizer: Regularizer) -> None:
        """The gradient is the derivative, by finite differences in float64."""
        subject = cases.normed(3, 2)
        with regularizer.attach(subject.model, subject.graph):
            asked = _Asked(subject, regularizer)
            names = [name for name, _ in asked.named_parameters()]
            values = [p.detach().clone().requires_grad_(True) for p in asked.parameters()]

            def penalty(*given: Tensor) -> Tensor:
                found: Tensor = functional_call(asked, dict(zip(names, given, strict=True)), ())
                return found

            assert torch.autograd.gradcheck(penalty, values)

    def test_model_untouched(self, regularizer: Regularizer) -> None:
        """Asking for the penalty writes nothing; leaving the context, even by an error, restores the model."""
        subject = cases.normed()
        before = _state(subject.model)
        with regularizer.attach(subject.model, subject.graph):
            regularizer.penalty(_started(subject, regularizer))
        _check_same(before, _state(subject.model))
        try:
            with regularizer.attach(subject.model, subject.graph):
                raise KeyError
        except KeyError:
            pass
        _check_same(before, _state(subject.model))

    def test_masked(self, regularizer: Regularizer) -> None:
        """A network that carries masks is charged a finite number, of which masked weights feel nothing."""
        subject = cases.normed()
        at = cases.moment(subject)
        plan = at.plan_for(0.5)
        with regularizer.attach(subject.model, subject.graph):
            mask_(subject.model, plan)
            started = _started(subject, regularizer)
            found = regularizer.penalty(started)
            assert bool(torch.isfinite(found.detach()))
            found.backward()
            for name, keep in masks_of(subject.model).items():
                gradient = started.parameters[name].grad
                assert gradient is None or not bool(gradient[~keep].any())
                assert gradient is None or bool(torch.isfinite(gradient).all())
            unmask_(subject.model)

    def test_steps_take_what_they_charge(self, regularizer: Regularizer) -> None:
        """With no gradient of the loss, steps and epochs leave no more to be charged, where they take the charge."""
        subject = cases.normed()
        with regularizer.attach(subject.model, subject.graph):
            at = _started(subject, regularizer)
            before = float(regularizer.penalty(at).detach())
            for step in range(1, 5):
                regularizer.after_step(replace(at, step=step, steps=4, lr=0.1))
                if step % 2 == 0:
                    regularizer.after_epoch(replace(at, step=step, steps=4, lr=0.1, ended=True))
                after = float(regularizer.penalty(at).detach())
                if regularizer.takes:
                    assert after <= before * (1 + 1e-12)
                before = after

    def test_memory(self, regularizer: Regularizer) -> None:
        """What it remembers is tensors that ask for no gradient; two runs remember the same, and charge the same."""
        runs = []
        for _ in range(2):
            subject = cases.normed()
            with regularizer.attach(subject.model, subject.graph):
                at = _started(subject, regularizer)
                regularizer.after_step(replace(at, step=1, steps=2, lr=0.1))
                regularizer.after_epoch(replace(at, step=1, steps=2, lr=0.1, ended=True))
                runs.append((dict(at.memory), regularizer.penalty(at).detach()))
        (first, charge), (second, again) = runs
        assert first.keys() == second.keys()
        for name, value in first.items():
            assert type(value) is Tensor
            assert not value.requires_grad
            assert torch.equal(value, second[name])
        assert torch.equal(charge, again)

    def test_value(self, regularizer: Regularizer) -> None:
        """A regulariser is a value: its repr makes it again; it pickles, hashes and copies."""
        check_value(regularizer)

    def test_docstring(self, regularizer: Regularizer) -> None:
        """The docstring states formula and cost, and cites where a paper is named."""
        sections = ("Formula", "Cost") if regularizer.paper is None else ("Paper", "Formula", "Cost", "Differs")
        check_docstring(type(regularizer), sections)
        assert regularizer.paper is None or regularizer.paper.cite()


def _started(case: cases.Case, regularizer: Regularizer) -> Moment:
    at = cases.moment(case)
    regularizer.start(at)
    return at


class _Asked(nn.Module):
    """A module whose forward is the penalty, so that its parameters can be swapped."""

    def __init__(self, case: cases.Case, regularizer: Regularizer) -> None:
        super().__init__()
        self.model = case.model
        self.regularizer = regularizer
        self.moment = _started(case, regularizer)

    def forward(self) -> Tensor:
        """The penalty."""
        return self.regularizer.penalty(self.moment)


def _state(model: nn.Module) -> dict[str, Any]:
    tensors = {n: (t, t.detach().clone(), t._version) for n, t in [*model.named_parameters(), *model.named_buffers()]}  # noqa: SLF001
    modules = {n: (type(m), m.training, hooks(m)) for n, m in model.named_modules()}
    return {"tensors": tensors, "modules": modules}


def hooks(module: nn.Module) -> dict[str, int]:
    """How many hooks of each kind `module` carries."""
    return {name: len(found) for name, found in vars(module).items() if name.endswith("_hooks")}


def _check_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert before["modules"] == after["modules"]
    assert before["tensors"].keys() == after["tensors"].keys()
    for name, (tensor, value, version) in before["tensors"].items():
        assert after["tensors"][name][0] is tensor
        assert torch.equal(after["tensors"][name][1], value)
        assert after["tensors"][name][2] == version
        assert tensor.grad is None
