"""Train: recovery between other steps."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from secateur.chain.base import Given, State, Step, step
from secateur.core.copying import copied
from secateur.core.errors import MissingEvidenceError
from secateur.core.recipe import FineTune
from secateur.distill import DISTILLATIONS, Distill, taught
from secateur.training import train_


@step("train")
@dataclass(frozen=True, kw_only=True)
class Train(Step):
    """Train on, with the network that the chain began with as teacher.

    Attributes:
        epochs: passes over the data.
        lr: peak learning rate.
        optimizer: "sgd" or "adam".
        distill: a name from `secateur list distillations`; empty learns from labels alone.

    Example:
        >>> str(Train(epochs=2.0, distill="kd"))
        'train 2 epochs, taught by kd'
    """

    epochs: float = 1.0
    lr: float = 0.01
    optimizer: Literal["sgd", "adam"] = "sgd"
    distill: str = "kd"
    stage: ClassVar[int | None] = None

    def __str__(self) -> str:
        return f"train {self.epochs:g} epochs{f', taught by {self.distill}' if self.distill else ''}"

    def apply(self, state: State, given: Given) -> State:
        """The trained network; masks and codes stay what they are."""
        if given.data is None:
            raise MissingEvidenceError(
                f"{self}: there is no data. Pass data=, an iterable of (inputs, target) batches."
            )
        student, data, loss = copied(state.model), given.data, given.loss
        with ExitStack() as stack:
            if self.distill:
                how = Distill(by=DISTILLATIONS[self.distill]())
                lesson = stack.enter_context(taught(student, given.dense, how, loss=loss))
                data, loss = lesson.batches(data), lesson.loss
            how_long = FineTune(epochs=self.epochs, lr=self.lr, optimizer=self.optimizer)
            train_(student, data, how_long, loss=loss, progress=given.progress, what="train")
        return replace(state, model=student, told=())
