"""What is compared: a recipe for each paper and network, and how the paper did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from secateur.allocation import LAMP, Global, Like
from secateur.core.budget import Budget
from secateur.core.contracts import Allocation
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import LAMP as LAMPScores
from secateur.criteria import Magnitude
from secateur.granularity import Channel, Weight
from secateur.methods import recipe
from secateur.regularizers import ADMM, SparseVD
from secateur.repair import FoldConstant
from secateur.schedules import Easing, Geometric, OneShot
from secateur.surgeries import AdamScaled, Dynamic


@dataclass(frozen=True, slots=True)
class Paper:
    """What was published.

    Attributes:
        factor: parameters before over those after; 0 if it is not known.
        error: test error in percent; None where the paper says "no loss" and no figure was checked.
    """

    factor: float
    error: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrow:
    """A step before the recipe: fewer hidden units, the strongest, trained again with the whole network as teacher.

    Attributes:
        units: how many stay, by layer.
        train: that training.
    """

    units: Mapping[str, int]
    train: FineTune


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table.

    Attributes:
        recipe: by network; budgets count from the whole network.
        paper: published figures by network.
        narrow: by network, what comes before the recipe.
        moved: share of images that are moved a little, anew on every walk.
        taught: whether the dense network is teacher.
    """

    recipe: Mapping[str, Recipe]
    paper: Mapping[str, Paper] = field(default_factory=dict)
    narrow: Mapping[str, Narrow] = field(default_factory=dict)
    moved: float = 0.0
    taught: bool = False


#: Shares of each layer's weights that the papers keep, as they or those who quote them print them.
_HAN = {
    "lenet_300_100": {"fc1": 0.08, "fc2": 0.09, "fc3": 0.26},
    "lenet5": {"conv1": 0.66, "conv2": 0.12, "fc1": 0.08, "fc2": 0.19},
}
_DNS = {
    "lenet_300_100": {"fc1": 0.018, "fc2": 0.018, "fc3": 0.055},
    "lenet5": {"conv1": 0.14, "conv2": 0.03, "fc1": 0.007, "fc2": 0.04},
}
#: For LeNet-5: noise leaves biases alone, and by LAMP a quarter of all survivors would be biases.
_VD = {"conv1": 0.33, "conv2": 0.02, "fc1": 0.002, "fc2": 0.05}


def _like(shares: Mapping[str, float], *, biases: bool = False) -> Like:
    leaves = ("weight", "bias") if biases else ("weight",)
    return Like(shares=tuple((f"{layer}.{leaf}", share) for layer, share in shares.items() for leaf in leaves))


def _adam(epochs: float, lr: float = 1e-3) -> FineTune:
    return FineTune(epochs=epochs, lr=lr, optimizer="adam", weight_decay=0.0)


def _han(net: str, epochs: float) -> Recipe:
    return Recipe(
        criterion=Magnitude(),
        granularity=Weight(),
        allocation=_like(_HAN[net]),
        schedule=Geometric(steps=4),
        budget=Budget(1 / 12, "params"),
        finetune=_adam(epochs),
    )


def _dns(net: str, factor: float, first: FineTune) -> Recipe:
    return Recipe(
        criterion=Magnitude(),
        granularity=Weight(biases=True),
        allocation=_like(_DNS[net], biases=True),
        schedule=OneShot(),
        budget=Budget(1 / factor, "params"),
        surgery=Dynamic(gamma=1e-3, until=0.75),
        sparsify=first,
        finetune=_adam(4),
    )


def _admm(factor: float, pull: ADMM, first: FineTune, last: FineTune) -> Recipe:
    return Recipe(
        criterion=Magnitude(),
        granularity=Weight(biases=True),
        allocation=LAMP(),
        schedule=OneShot(),
        budget=Budget(1 / factor, "params"),
        regularizer=pull,
        sparsify=first,
        finetune=last,
    )


def _sparse_vd(factor: float, epochs: float, lr: float, allocation: Allocation) -> Recipe:
    return Recipe(
        criterion=Magnitude(),
        granularity=Weight(biases=True),
        allocation=allocation,
        schedule=OneShot(),
        budget=Budget(1 / factor, "params"),
        regularizer=SparseVD(strength=1 / 60_000, warm_up=0.4, first=-8.0),
        sparsify=_adam(epochs, lr),
        finetune=_adam(epochs / 4),
    )


def _own(factor: float, epochs: float, lr: float) -> Recipe:
    return Recipe(
        criterion=LAMPScores(),  # never asked: the surgery brings scores of its own
        granularity=Weight(biases=True),
        allocation=Global(normalize="none"),
        schedule=Easing(power=3.0),
        budget=Budget(1 / factor, "params"),
        surgery=AdamScaled(begin=0.02, end=0.8, every=100, power=0.35, lines=0.2),
        sparsify=_adam(epochs, lr),
    )


def _channels(name: str, **changes: Any) -> Recipe:
    """A recipe of the library at a quarter of the MACs; all train equally long, at one learning rate."""
    how = replace(recipe(name), budget=Budget("0.25 macs"), **changes)
    first = None if how.sparsify is None else FineTune(epochs=4, lr=0.02)
    return replace(how, sparsify=first, finetune=FineTune(epochs=6 if first is None else 2, lr=0.02))


ENTRIES: dict[str, Entry] = {
    "Han 2015": Entry(
        {"lenet_300_100": _han("lenet_300_100", 4), "lenet5": _han("lenet5", 1.5)},
        {"lenet_300_100": Paper(12, 1.59), "lenet5": Paper(12, 0.77)},
    ),
    "DNS": Entry(
        {
            "lenet_300_100": _dns("lenet_300_100", 56, FineTune(epochs=16, lr=0.05)),
            "lenet5": _dns("lenet5", 108, FineTune(epochs=10, lr=0.02)),
        },
        {"lenet_300_100": Paper(56, 1.99), "lenet5": Paper(108, 0.91)},
    ),
    "ADMM": Entry(
        {
            "lenet_300_100": _admm(22.9, ADMM(rho=1e-3, growth=1.3, ceiling=0.1), _adam(14), _adam(6)),
            "lenet5": _admm(71.2, ADMM(rho=1e-3, growth=1.6, ceiling=1.0), _adam(12), _adam(5, 2e-3)),
        },
        {"lenet5": Paper(71.2, None)},
    ),
    "sparse VD": Entry(
        {
            "lenet_300_100": _sparse_vd(68, 24, 3e-3, LAMP()),
            "lenet5": _sparse_vd(280, 10, 3e-3, _like(_VD, biases=True)),
        },
        {"lenet_300_100": Paper(68, 1.92), "lenet5": Paper(280, 0.75)},
    ),
    "own": Entry(
        {"lenet_300_100": _own(100, 40, 5e-3), "lenet5": _own(280, 25, 5e-3)},
        narrow={"lenet5": Narrow(units={"conv1": 8, "conv2": 24, "fc1": 100}, train=_adam(5, 2e-3))},
        moved=0.5,
        taught=True,
    ),
    **{
        title: Entry({"lenet5_channels": how})
        for title, how in {
            "Li 2017": _channels("li2017"),
            "SSL": _channels("ssl"),
            "SSS": _channels("sss"),
            "SFP": _channels("sfp"),
            "GReg": _channels("greg"),
            "DNS, filters": _channels("dns", granularity=Channel(), repair=(FoldConstant(),)),
        }.items()
    },
}
