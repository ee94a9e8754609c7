"""A model under test: how to build it, and what to feed it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

#: Keyword arguments of one forward pass, or one tensor.
Inputs = Tensor | Mapping[str, Any]
#: Inputs from a seed: same seed, same inputs.
Draw = Callable[[int], Inputs]

BATCH = 2


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to build a model.

    Attributes:
        make: builds it; the caller seeds the global generator.
        draw: its inputs.
        note: what was chosen, for the table: the input size, a reduced depth.
    """

    make: Callable[[], nn.Module]
    draw: Draw
    note: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A model of a zoo.

    Attributes:
        zoo: name of the zoo.
        name: the model's name there.
        attempts: ways to build it, cheapest first; the first that runs is the one that is checked.
    """

    zoo: str
    name: str
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """A model that runs.

    Attributes:
        model: as its zoo builds it, in the mode it comes in.
        draw: its inputs.
        note: what was chosen.
    """

    model: nn.Module
    draw: Draw
    note: str


def build(case: Case) -> Built:
    """Build the first attempt that runs in eval and in training mode, or else the first that runs in eval mode.

    Raises:
        Exception: what the last attempt raised, if none runs.
    """
    found: Attempt | None = None
    for attempt in case.attempts:
        model = None  # the last one: two large ones would not fit
        try:
            model = _made(attempt)
            _run(model.eval(), attempt)
        except Exception:  # too small a picture, an argument that this family does not take: on to the next
            if attempt is case.attempts[-1] and found is None:
                raise
            continue
        found = found or attempt
        try:
            _run(model.train(), attempt)
        except Exception:  # a branch for training only that needs a larger picture, say
            continue
        found = attempt
        break
    assert found is not None, "a case has at least one attempt"
    del model
    return Built(_made(found), found.draw, found.note)


def _made(attempt: Attempt) -> nn.Module:
    torch.manual_seed(0)
    return attempt.make()


def _run(model: nn.Module, attempt: Attempt) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        call(model, attempt.draw(0))


def call(model: nn.Module, inputs: Inputs) -> Any:
    """Run `model` on `inputs`."""
    return model(inputs) if isinstance(inputs, Tensor) else model(**inputs)


def images(size: int, *, channels: int = 3, frames: int | None = None) -> Draw:
    """Normal pictures `(2, channels, size, size)`, or films `(2, channels, frames, size, size)`."""
    shape = (BATCH, channels, *([] if frames is None else [frames]), size, size)
    return lambda seed: torch.randn(shape, generator=torch.Generator().manual_seed(seed))
