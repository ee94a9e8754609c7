"""A teacher at the side of any training loop: batches that carry their inputs, and a loss that asks the teacher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from secateur.core.contracts import Batch, Batches, DistillLoss, Loss, Outputs
from secateur.core.copying import copied
from secateur.core.errors import IncompatibleError, UnknownNameError
from secateur.core.example import Example
from secateur.distill.kd import KD
from secateur.evidence import cross_entropy
from secateur.graph.record import tensors_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Distill:
    """How much of the loss comes from the teacher.

    Attributes:
        by: how far a student is from its teacher.
        weight: of that.
        task: weight of the loss on the target.
    """

    by: DistillLoss = field(default_factory=KD)
    weight: float = 0.9
    task: float = 0.1

    def __post_init__(self) -> None:
        if not self.weight > 0 or self.task < 0:
            raise IncompatibleError(
                f"weight must be above 0 and task 0 or more, got weight={self.weight!r}, task={self.task!r}."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A target together with the inputs, so that the teacher can be asked about them."""

    inputs: Any
    target: Any


class WithInputs:
    """Batches whose targets are `Asked`; all else is that of the batches themselves."""

    def __init__(self, batches: Batches) -> None:
        """Wrap batches."""
        self._batches = batches

    def __iter__(self) -> Iterator[Batch]:
        return ((inputs, Asked(inputs, target)) for inputs, target in self._batches)

    def __len__(self) -> int:
        return len(self._batches)  # type: ignore[arg-type]  # a TypeError is the right answer of a stream

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._batches, name)


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What `taught` gives to a training loop.

    Attributes:
        teacher: a copy of it, in eval mode.
        how: the loss and its weights.
        task: `(output, target) -> scalar` on the target.
        said: the student's features of its last forward pass.
        heard: the teacher's.
    """

    teacher: nn.Module
    how: Distill
    task: Loss
    said: Mapping[str, Tensor]
    heard: Mapping[str, Tensor]

    def batches(self, batches: Batches) -> Batches:
        """The same batches, with inputs beside the targets."""
        return WithInputs(batches)

    def loss(self, output: Any, asked: Asked) -> Tensor:
        """The loss to train with, right after the student's forward pass on the same inputs."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            answer = Example.of(asked.inputs).call(self.teacher)
        found = self.how.by.loss(Outputs(output, self.said), Outputs(answer, self.heard), asked.target)
        found = self.how.weight * found
        return found + self.how.task * self.task(output, asked.target) if self.how.task else found


@contextmanager
def taught(
    student: nn.Module, teacher: nn.Module, how: Distill | None = None, *, loss: Loss = cross_entropy
) -> Iterator[Lesson]:
    """A lesson for `student`; leaving the context takes all hooks away.

    The teacher is most often the network before it was cut. It is copied, kept in eval mode and never trained.

    Args:
        student: it only gets hooks on the layers that are compared.
        teacher: has layers of the same names, where layers are compared.
        how: the loss and its weights; knowledge distillation by default.
        loss: on the target.

    Yields:
        The lesson: `train_(student, lesson.batches(batches), how, loss=lesson.loss)`, or in a loop of your own
        `lesson.loss(student(x), Asked(x, target))`.

    Raises:
        UnknownNameError: student or teacher have no layer of such a name.

    Example:
        >>> student, teacher = nn.Linear(3, 2), nn.Linear(3, 2)
        >>> x, target = torch.randn(4, 3), torch.tensor([0, 1, 1, 0])
        >>> with taught(student, teacher) as lesson:
        ...     loss = lesson.loss(student(x), Asked(x, target))
        >>> loss.shape
        torch.Size([])
    """
    chosen = how or Distill()
    mentor = copied(teacher).eval().requires_grad_(requires_grad=False)
    for who, network in (("student", student), ("teacher", mentor)):
        names = dict(network.named_modules())
        missing = [name for name in chosen.by.layers if name not in names]
        if missing:
            raise UnknownNameError(
                f"the {who} has no layers {', '.join(map(repr, missing))}. It has: {', '.join(n for n in names if n)}."
            )
    said: dict[str, Tensor] = {}
    heard: dict[str, Tensor] = {}
    with ExitStack() as stack:
        for name in chosen.by.layers:
            for network, notes in ((student, said), (mentor, heard)):
                stack.enter_context(_noting(network.get_submodule(name), name, notes))
        yield Lesson(mentor, chosen, loss, said, heard)


@contextmanager
def _noting(module: nn.Module, name: str, notes: dict[str, Tensor]) -> Iterator[None]:
    """Write down the first tensor that the module returns, each time that it runs."""

    def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
        notes[name] = tensors_in(output)[0]

    handle = module.register_forward_hook(note)
    try:
        yield
    finally:
        handle.remove()
