"""A Lightning callback that puts a recipe to work in `Trainer.fit`."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from secateur.core.errors import IncompatibleError
from secateur.core.groups import ChannelGraph
from secateur.core.plan import PruningPlan
from secateur.core.recipe import Recipe
from secateur.training.session import Calibration, Session


class Pruning(Callback):
    """Masks and charges while Lightning trains; `callback.plan` is what was decided.

        pruning = Pruning(recipe, graph=secateur.trace(module.net, example_inputs), model="net")
        Trainer(callbacks=[pruning]).fit(module, loader)
        small = secateur.shrink(module.net, pruning.plan)

    The regulariser's charge is added to the gradients right before clipping, so it need not be in your loss.
    Lightning's checkpoints hold masks, schedule and random state, and `fit(ckpt_path=...)` goes on from them.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        graph: ChannelGraph,
        model: str = "",
        calibration: Calibration | None = None,
        seed: int = 0,
    ) -> None:
        """Prepare.

        Args:
            recipe: budget, criterion, granularity, allocation, schedule, surgery and regulariser are used.
            graph: `trace(network, example_inputs)`.
            model: the network's attribute in the module, "net" for `module.net`; the module itself by default.
            calibration: data and loss, for criteria that need any.
            seed: for everything random.
        """
        self.recipe, self.graph, self.name = recipe, graph, model
        self._calibration, self._seed = calibration, seed
        self._session: Session | None = None
        self._state: dict[str, Any] | None = None
        self.plan: PruningPlan | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Mask before the strategy wraps the module and before a checkpoint is loaded into it."""
        if stage != "fit" or self._session is not None:
            return
        steps = int(trainer.estimated_stepping_batches)
        if steps < 1:
            raise IncompatibleError(
                "how long the training takes is not known. Set max_epochs or max_steps of the Trainer."
            )
        network = pl_module.get_submodule(self.name) if self.name else pl_module
        self._session = Session.waiting(
            network, self.recipe, graph=self.graph, steps=steps, calibration=self._calibration, seed=self._seed
        )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over the optimiser, and the state of a checkpoint."""
        assert self._session is not None
        if len(trainer.optimizers) != 1:
            raise IncompatibleError(
                f"pruning takes one optimiser, got {len(trainer.optimizers)}. Use a loop of your own."
            )
        self._session.optimizer = trainer.optimizers[0]
        if self._state is not None:
            self._session.restore_(self._state)
            self._state = None

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Add the gradients of the charge."""
        if self.recipe.regularizer is not None and self._session is not None:
            self._session.penalty().backward()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Count optimiser steps, not batches: gradients may be accumulated."""
        if self._session is not None and trainer.global_step > self._session.taken:
            self._session.step()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """An epoch ends."""
        if self._session is not None:
            self._session.epoch()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make masks hard, and say what was decided."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the network usable."""
        self._close()

    def state_dict(self) -> dict[str, Any]:
        """What Lightning's checkpoints hold for us."""
        return {} if self._session is None else self._session.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._state = state_dict or None

    def _close(self) -> None:
        if self._session is not None:
            self._session.__exit__(None, None, None)
            self.plan, self._session = self._session.plan, None
