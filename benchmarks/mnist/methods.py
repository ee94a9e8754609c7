"""What is compared: a recipe for each paper and network, and how the paper did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from secateur.allocation import Global, SigmaThreshold
from secateur.core.budget import Budget
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import LAMP, Magnitude
from secateur.granularity import Weight
from secateur.schedules import Easing, Geometric, OneShot
from secateur.surgeries import AdamScaled, Dynamic


@dataclass(frozen=True, slots=True)
class Paper:
    """What was published.

    Attributes:
        factor: parameters before over those after; 0 if it is not known.
        error: test error in percent.
    """

    factor: float
    error: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table.

    Attributes:
        recipe: by network.
        paper: published figures by network.
        moved: whether it trains on moved images too, with the dense network as teacher.
    """

    recipe: Mapping[str, Recipe]
    paper: Mapping[str, Paper] = field(default_factory=dict)
    moved: bool = False


def _adam(epochs: float, lr: float = 1e-3) -> FineTune:
    return FineTune(epochs=epochs, lr=lr, optimizer="adam", weight_decay=0.0)


def _han(factor: float, epochs: float) -> Recipe:
    return Recipe(
        criterion=Magnitude(),
        granularity=Weight(),
        allocation=SigmaThreshold(),
        schedule=Geometric(steps=4),
        budget=Budget(1 / factor, "params"),
        finetune=_adam(epochs),
    )


def _dns(keep: float, epochs: float) -> Recipe:
    return Recipe(
        criterion=Magnitude(),
        granularity=Weight(biases=True),
        allocation=SigmaThreshold(),
        schedule=OneShot(),
        budget=Budget(keep, "params"),
        surgery=Dynamic(gamma=1e-3, until=0.6),
        sparsify=_adam(epochs),
        finetune=_adam(max(2, epochs / 4), 5e-4),
    )


def _own(factor: float, epochs: float, lr: float) -> Recipe:
    return Recipe(
        criterion=LAMP(),  # what the surgery asks for in its place
        granularity=Weight(biases=True),
        allocation=Global(normalize="none"),
        schedule=Easing(power=2.0),
        budget=Budget(1 / factor, "params"),
        surgery=AdamScaled(begin=0.02, end=0.7, every=50),
        sparsify=_adam(epochs, lr),
    )


ENTRIES: dict[str, Entry] = {
    "Han 2015": Entry(
        {"lenet_300_100": _han(12, 4), "lenet5": _han(12, 2)},
        {"lenet_300_100": Paper(12, 1.59), "lenet5": Paper(12, 0.77)},
    ),
    "DNS": Entry(
        {"lenet_300_100": _dns(1 / 56, 30), "lenet5": _dns(1 / 108, 12)},
        {"lenet_300_100": Paper(56, 1.99), "lenet5": Paper(108, 0.91)},
    ),
    "own": Entry({"lenet_300_100": _own(100, 40, 3e-3), "lenet5": _own(200, 20, 3e-3)}, moved=True),
}
