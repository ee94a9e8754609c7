"""A plain training loop: mini-batches, one optimiser, a learning rate that warms up and falls along a cosine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from math import cos, pi
from operator import length_hint
from typing import Any

import torch
from torch import nn

from secateur.core.contracts import Batch, Batches, Loss, Progress
from secateur.core.errors import MissingEvidenceError, SecateurError
from secateur.core.example import Example
from secateur.core.recipe import FineTune
from secateur.evidence import cross_entropy
from secateur.training.checkpoint import Checkpoint, random_state, set_random_state
from secateur.training.session import Session

#: Share of all steps in which the learning rate rises from zero.
_WARM_UP = 0.1
#: `(optimiser, steps in all) -> session`: what a recipe does while the loop runs.
Work = Callable[[torch.optim.Optimizer, int], Session]


def train_(
    model: nn.Module,
    batches: Batches,
    how: FineTune,
    *,
    loss: Loss = cross_entropy,
    work: Work | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
    what: str = "train",
) -> int:
    """Train `model` in place and leave it in the mode it was in.

    Args:
        model: dense, masked or shrunk; the loop does not need to know.
        batches: `(inputs, target)` pairs; walked through once per epoch. If they have `state_dict()` and
            `load_state_dict()`, a resumed run uses them; otherwise their order must follow from torch's random state.
        how: epochs, learning rate, optimiser.
        loss: `(output, target) -> scalar`.
        work: opens the session of a recipe that masks or charges while it trains.
        checkpoint: where to save, and to go on from; its stage is called `what`.
        progress: called as `(what, steps done, steps in all)`.
        what: name of the work for `progress`.

    Returns:
        Steps taken.

    Raises:
        SecateurError: the loss became NaN or infinite.
        MissingEvidenceError: there are no batches.
    """
    per_epoch = batches_in(batches)
    steps = how.steps(per_epoch)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = _optimizer(trainable, how)
    found = None if checkpoint is None else checkpoint.of(what)
    modes = {m: m.training for m in model.modules()}
    _training_mode_(model)
    try:
        with ExitStack() as stack:
            session = None if work is None else _opened(work(optimizer, steps), found, stack)
            run = _Run(model, optimizer, session, _Walk(batches))
            done = run.begin_() if found is None else run.restore_(found)
            if checkpoint is not None:
                checkpoint.save(what, run.state(done))
            for number in range(done, steps):
                for group in optimizer.param_groups:
                    group["lr"] = how.lr * learning_rate(number, steps)
                run.step_(loss, f"{number}. Lower lr={how.lr} or check the data.")
                if session is not None and (number + 1) % per_epoch == 0:
                    session.epoch()
                if progress is not None:
                    progress(what, number + 1, steps)
                if checkpoint is not None and (number + 1 == steps or checkpoint.due):
                    checkpoint.save(what, run.state(number + 1))
    finally:
        for module, mode in modes.items():
            module.training = mode
        for p in trainable:
            p.grad = None
    return steps


def _opened(session: Session, found: Mapping[str, Any] | None, stack: ExitStack) -> Session:
    """The session, entered where a checkpoint says."""
    if found is not None:
        session.load_state_dict(found["session"])
    return stack.enter_context(session)


class _Walk:
    """An endless walk through batches whose place can be saved."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches
        self.number = 0
        self._iterator: Iterator[Batch] | None = None
        self._start: dict[str, Any] = {}

    def begin(self) -> None:
        """Begin a walk, and remember what its order follows from."""
        state = self.batches.state_dict() if hasattr(self.batches, "state_dict") else None
        self._start = {"data": state, "random": random_state()}
        self._iterator, self.number = iter(self.batches), 0

    def next(self) -> Batch:
        """The next batch."""
        if self._iterator is None:
            self.begin()
        for fresh in (False, True):
            assert self._iterator is not None
            for batch in self._iterator:
                self.number += 1
                return batch
            if not fresh:
                self.begin()
        raise MissingEvidenceError(
            "data ran dry: it can be walked through once only. Pass a list or a DataLoader, not a generator."
        )

    def state(self) -> dict[str, Any]:
        """Where the walk stands."""
        return {"start": self._start, "number": self.number}

    def restore_(self, state: Mapping[str, Any]) -> None:
        """Walk to the same place again: begin as the interrupted run began, and pass over what it had seen."""
        if state["start"]["data"] is not None:
            self.batches.load_state_dict(state["start"]["data"])  # type: ignore[attr-defined]  # it gave us the state
        set_random_state(state["start"]["random"])
        self.begin()
        for _ in range(int(state["number"])):
            self.next()


@dataclass(frozen=True, slots=True)
class _Run:
    """What moves while a network trains.

    Attributes:
        model: the network.
        optimizer: of its parameters.
        session: a recipe at work, if any.
        walk: the place in the data.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    session: Session | None
    walk: _Walk

    def state(self, step: int) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        return {
            "step": step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "session": None if self.session is None else self.session.state_dict(),
            "walk": self.walk.state(),
            "random": random_state(),
        }

    def begin_(self) -> int:
        """Begin; returns the number of steps that were taken: none."""
        self.walk.begin()
        return 0

    def step_(self, loss: Loss, hint: str) -> None:
        """One step of the optimiser, on the next batch."""
        inputs, target = self.walk.next()
        value = loss(Example.of(inputs).call(self.model), target)
        if self.session is not None:
            value = value + self.session.penalty()
        if not bool(torch.isfinite(value)):
            raise SecateurError(f"the loss is {value.item()} at step {hint}")
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        self.optimizer.step()
        if self.session is not None:
            self.session.step()

    def restore_(self, state: Mapping[str, Any]) -> int:
        """Go back to a saved state; returns the number of steps that were taken."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.walk.restore_(state["walk"])
        set_random_state(state["random"])
        return int(state["step"])


def _training_mode_(model: nn.Module) -> None:
    """Training mode, except for batch norms with momentum 0: their statistics never follow, so they must not be left.

    Networks converted from other frameworks come with it; in plain training mode they would learn on batch statistics
    and then be judged on ones from long ago.
    """
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.momentum == 0.0:  # noqa: SLF001
            module.eval()


def learning_rate(step: int, steps: int) -> float:
    """Share of the peak learning rate at `step` of `steps`: a short rise, then half a cosine to zero."""
    rise = max(1, round(_WARM_UP * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + cos(pi * (step - rise) / max(1, steps - rise)))


def _optimizer(parameters: list[nn.Parameter], how: FineTune) -> torch.optim.Optimizer:
    if how.optimizer == "adam":
        return torch.optim.AdamW(parameters, lr=how.lr, weight_decay=how.weight_decay)
    return torch.optim.SGD(parameters, lr=how.lr, momentum=0.9, nesterov=True, weight_decay=how.weight_decay)


def batches_in(batches: Batches) -> int:
    """How many batches one walk has.

    Raises:
        MissingEvidenceError: none.
    """
    number = length_hint(batches) or sum(1 for _ in batches)  # a loader of a stream has no length
    if not number:
        raise MissingEvidenceError("data holds no batches. Pass a non-empty iterable that can be walked through again.")
    return number
