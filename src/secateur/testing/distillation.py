"""The contract of distillation losses."""

from __future__ import annotations

import torch
from torch import Tensor

from secateur.core.contracts import DistillLoss, Outputs
from secateur.core.rng import generator
from secateur.testing.criterion import check_docstring, check_value

_BATCH, _CLASSES = 5, 4


class DistillationContract:
    """What every distillation loss promises. Subclass it, and parametrise `distillation` or define it as a fixture.

    Networks answer with logits `(5, 4)`; every layer that is asked for gives `(5, 3, 4, 2)`.
    """

    def test_scalar_not_negative(self, distillation: DistillLoss) -> None:
        """The loss is one finite number, and above zero for a student that says something else."""
        found = distillation.loss(said(distillation, "student"), said(distillation, "teacher"), classes())
        assert found.shape == ()
        assert bool(torch.isfinite(found))
        assert float(found.detach()) > 0 or not distillation.matching

    def test_teacher_is_the_minimum(self, distillation: DistillLoss) -> None:
        """A student that says what its teacher says pays nothing, and has nothing to learn."""
        student, teacher = said(distillation, "teacher"), said(distillation, "teacher")
        found = distillation.loss(student, teacher, classes())
        found.backward()
        if distillation.matching:
            assert abs(float(found.detach())) < 1e-12
            assert all(float(x.grad.abs().max()) < 1e-9 for x in _tensors(student) if x.grad is not None)

    def test_no_gradient_reaches_the_teacher(self, distillation: DistillLoss) -> None:
        """The teacher's answers get no gradient, the student's do."""
        student, teacher = said(distillation, "student"), said(distillation, "teacher")
        distillation.loss(student, teacher, classes()).backward()
        assert all(x.grad is None for x in _tensors(teacher))
        assert any(x.grad is not None and bool(x.grad.any()) for x in _tensors(student))

    def test_gradient(self, distillation: DistillLoss) -> None:
        """The gradient is the derivative, by finite differences in float64."""
        student, teacher = said(distillation, "student"), said(distillation, "teacher")
        names = list(student.features)

        def loss(output: Tensor, *features: Tensor) -> Tensor:
            return distillation.loss(Outputs(output, dict(zip(names, features, strict=True))), teacher, classes())

        assert torch.autograd.gradcheck(loss, _tensors(student))

    def test_order_of_examples(self, distillation: DistillLoss) -> None:
        """The order of examples in a batch means nothing."""
        student, teacher = said(distillation, "student"), said(distillation, "teacher")
        order = torch.randperm(_BATCH, generator=generator(0, "order"))
        found = distillation.loss(_taken(student, order), _taken(teacher, order), classes()[order])
        wanted = distillation.loss(student, teacher, classes())
        assert abs(float(found.detach() - wanted.detach())) < 1e-12

    def test_nothing_is_written(self, distillation: DistillLoss) -> None:
        """Answers and global random state stay as they are."""
        student, teacher = said(distillation, "student"), said(distillation, "teacher")
        before = [(x, x._version) for x in (*_tensors(student), *_tensors(teacher))]  # noqa: SLF001
        state = torch.get_rng_state()
        distillation.loss(student, teacher, classes())
        assert torch.equal(state, torch.get_rng_state())
        assert all(x._version == version for x, version in before)  # noqa: SLF001

    def test_value(self, distillation: DistillLoss) -> None:
        """A loss is a value: its repr makes it again; it pickles, hashes and copies."""
        check_value(distillation)

    def test_docstring(self, distillation: DistillLoss) -> None:
        """The docstring states formula, shapes and cost, cites, and holds an example that runs."""
        check_docstring(type(distillation), ("Paper", "Formula", "Shapes", "Cost", "Differs", "Example"))
        assert distillation.paper is not None
        assert distillation.paper.cite()


def said(distillation: DistillLoss, who: str) -> Outputs:
    """Random answers in float64 that require gradients; the same for the same `who`."""

    def draw(*shape: int, salt: str) -> Tensor:
        rng = generator(0, "distillation", who, salt)
        return torch.randn(*shape, generator=rng, dtype=torch.float64).requires_grad_()

    return Outputs(
        draw(_BATCH, _CLASSES, salt=""), {name: draw(_BATCH, 3, 4, 2, salt=name) for name in distillation.layers}
    )


def classes() -> Tensor:
    """A class number for each example."""
    return torch.tensor([0, 3, 1, 1, 2])


def _tensors(outputs: Outputs) -> list[Tensor]:
    return [outputs.output, *outputs.features.values()]


def _taken(outputs: Outputs, order: Tensor) -> Outputs:
    return Outputs(outputs.output[order], {name: x[order] for name, x in outputs.features.items()})
