"""A plain training loop: mini-batches, one optimiser, a learning rate that warms up and falls along a cosine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from math import cos, pi
from operator import length_hint

import torch
from torch import Tensor, nn

from secateur.core.contracts import Batch, Batches, Loss, Progress
from secateur.core.errors import MissingEvidenceError, SecateurError
from secateur.core.example import Example
from secateur.core.recipe import FineTune
from secateur.evidence import cross_entropy

#: Share of all steps in which the learning rate rises from zero.
_WARM_UP = 0.1


def train_(
    model: nn.Module,
    batches: Batches,
    how: FineTune,
    *,
    loss: Loss = cross_entropy,
    penalty: Callable[[nn.Module], Tensor] | None = None,
    progress: Progress | None = None,
    what: str = "train",
) -> int:
    """Train `model` in place and leave it in the mode it was in.

    Args:
        model: dense, masked or shrunk; the loop does not need to know.
        batches: `(inputs, target)` pairs; walked through once per epoch.
        how: epochs, learning rate, optimiser.
        loss: `(output, target) -> scalar`.
        penalty: added to the loss, a regulariser for instance.
        progress: called as `(what, steps done, steps in all)`.
        what: name of the work for `progress`.

    Returns:
        Steps taken.

    Raises:
        SecateurError: the loss became NaN or infinite.
        MissingEvidenceError: there are no batches.
    """
    per_epoch = _count(batches)
    steps = max(1, round(how.epochs * per_epoch))
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = _optimizer(trainable, how)
    modes = {m: m.training for m in model.modules()}
    _training_mode_(model)
    try:
        for number, (inputs, target) in enumerate(islice(_forever(batches), steps)):
            for group in optimizer.param_groups:
                group["lr"] = how.lr * learning_rate(number, steps)
            value = loss(Example.of(inputs).call(model), target)
            if penalty is not None:
                value = value + penalty(model)
            if not bool(torch.isfinite(value)):
                raise SecateurError(
                    f"the loss is {value.item()} at step {number}. Lower lr={how.lr} or check the data."
                )
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            if progress is not None:
                progress(what, number + 1, steps)
    finally:
        for module, mode in modes.items():
            module.training = mode
        for p in trainable:
            p.grad = None
    return steps


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


def _count(batches: Batches) -> int:
    number = length_hint(batches) or sum(1 for _ in batches)  # a loader of a stream has no length
    if not number:
        raise MissingEvidenceError("data holds no batches. Pass a non-empty iterable that can be walked through again.")
    return number


def _forever(batches: Batches) -> Iterator[Batch]:
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            raise MissingEvidenceError(
                "data ran dry: it can be walked through once only. Pass a list or a DataLoader, not a generator."
            )
