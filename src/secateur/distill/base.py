"""The registry of distillation losses, and the arithmetic that they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from secateur.core.contracts import DistillLoss, Outputs
from secateur.core.errors import IncompatibleError
from secateur.core.registry import Registry

DISTILLATIONS: Registry[type[DistillLoss]] = Registry("distillation")
distillation = DISTILLATIONS


def logits(output: Any) -> Tensor:
    """The logits `(B, classes, ..)` of an output: itself, its `logits`, or the first of a tuple or dict.

    Raises:
        IncompatibleError: there is no such tensor.
    """
    found = getattr(output, "logits", output)
    while isinstance(found, Mapping | tuple | list) and found:
        found = next(iter(found.values())) if isinstance(found, Mapping) else found[0]
    if not isinstance(found, Tensor) or found.ndim < 2:
        raise IncompatibleError(
            f"the network returned a {type(output).__name__} without logits (B, classes). Choose a loss on features, "
            "or wrap the network."
        )
    return found


def rows(scores: Tensor) -> Tensor:
    """`(B, classes, ..)` to one row per example and place, `(B .., classes)`."""
    return scores.movedim(1, -1).flatten(0, -2)


def pairs(layers: tuple[str, ...], student: Outputs, teacher: Outputs) -> Iterator[tuple[str, Tensor, Tensor]]:
    """What student and teacher said at each layer; the teacher's detached."""
    for name in layers:
        yield name, student.features[name], teacher.features[name].detach()


def need_layers(loss: DistillLoss) -> None:
    """Make sure that a loss on features names some.

    Raises:
        IncompatibleError: it does not.
    """
    if not loss.layers or not all(isinstance(name, str) for name in loss.layers):
        raise IncompatibleError(
            f"layers must be names of modules whose outputs are compared, got layers={loss.layers!r}. Write for "
            "instance layers=('layer1', 'layer2')."
        )


def must_be_positive(**settings: float) -> None:
    """Make sure of temperatures and the like.

    Raises:
        IncompatibleError: one of them is not above 0.
    """
    for name, value in settings.items():
        if not value > 0:
            raise IncompatibleError(f"{name} must be above 0, got {name}={value!r}.")
