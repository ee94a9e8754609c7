"""What a user's Python file may offer beside the network: data, evaluation, training, loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from torch import nn

from secateur.cli.targets import function
from secateur.core.contracts import Batches, Loss, Quality
from secateur.evidence import cross_entropy
from secateur.measure import accuracy


@dataclass(frozen=True, slots=True)
class UserData:
    """What was found.

    Attributes:
        batches: from `train_batches()` (or `train_loader()`).
        quality: `evaluate(model)`, else top-1 and top-5 over `test_batches()` (or `test_loader()`).
        train: `train(model)`.
        loss: `loss(output, target)`.
        judge: what a search chooses by: `judge(model)`, else top-1 over `held_out_batches()` (or `held_out_loader()`).
    """

    batches: Batches | None
    quality: Quality | None
    train: Callable[[nn.Module], object] | None
    loss: Loss
    judge: Quality | None = None


def user_data(module: ModuleType | None) -> UserData:
    """Look through a user's file for the functions that we know by name; all of them are optional."""
    training = _first(module, "train_batches", "train_loader")
    test = _first(module, "test_batches", "test_loader")
    quality: Quality | None = function(module, "evaluate")
    if quality is None and test is not None:
        exam = test()

        def quality(model: nn.Module) -> Any:
            return accuracy(model, exam, k=(1, 5))

    held_out = _first(module, "held_out_batches", "held_out_loader")
    judge: Quality | None = function(module, "judge")
    if judge is None and held_out is not None:
        choose = held_out()

        def judge(model: nn.Module) -> Any:
            return accuracy(model, choose, k=(1,))

    return UserData(
        batches=training() if training else None,
        quality=quality,
        train=function(module, "train"),
        loss=function(module, "loss") or cross_entropy,
        judge=judge,
    )


def _first(module: ModuleType | None, *names: str) -> Callable[..., Any] | None:
    return next((f for f in (function(module, n) for n in names) if f is not None), None)
