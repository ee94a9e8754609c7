"""A callback that puts a recipe to work in a Hugging Face `Trainer`."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from secateur.core.errors import IncompatibleError
from secateur.core.groups import ChannelGraph
from secateur.core.plan import PruningPlan
from secateur.core.recipe import Recipe
from secateur.training.session import Calibration, Session


class Pruning(TrainerCallback):
    """Masks and charges while `Trainer.train` runs; `callback.plan` is what was decided.

        pruning = Pruning(recipe, graph=secateur.trace(model, example_inputs))
        trainer = Trainer(model, args, train_dataset=data, callbacks=[pruning])
        pruning.begin(model, steps=args.max_steps)
        trainer.train()
        small = secateur.shrink(model, pruning.plan)

    `begin` masks the network before the Trainer makes its optimiser. The regulariser's charge is added to the gradients
    right before the optimiser's step, so it need not be in your loss.
    """

    def __init__(
        self, recipe: Recipe, *, graph: ChannelGraph, calibration: Calibration | None = None, seed: int = 0
    ) -> None:
        """Prepare.

        Args:
            recipe: budget, criterion, granularity, allocation, schedule, surgery and regulariser are used.
            graph: `trace(model, example_inputs)`.
            calibration: data and loss, for criteria that need any.
            seed: for everything random.
        """
        self.recipe, self.graph = recipe, graph
        self._calibration, self._seed = calibration, seed
        self._session: Session | None = None
        self.plan: PruningPlan | None = None

    def begin(self, model: nn.Module, *, steps: int) -> None:
        """Mask `model` in place; call it before `Trainer.train`.

        Args:
            model: the network that the Trainer trains.
            steps: optimiser steps in all.
        """
        self._session = Session.waiting(
            model, self.recipe, graph=self.graph, steps=steps, calibration=self._calibration, seed=self._seed
        )

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take over the optimiser."""
        if self._session is None:
            raise IncompatibleError(
                "the network carries no masks yet. Call pruning.begin(model, steps=...) before train()."
            )
        optimizer = kwargs["optimizer"]
        self._session.optimizer = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Add the gradients of the charge."""
        if self.recipe.regularizer is not None and self._session is not None:
            self._session.penalty().backward()

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The optimiser has stepped, and gradients are still there."""
        if self._session is not None:
            self._session.step()

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """An epoch ends."""
        if self._session is not None:
            self._session.epoch()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Make masks hard, and say what was decided."""
        if self._session is not None:
            self._session.__exit__(None, None, None)
            self.plan, self._session = self._session.plan, None
