"""What is compared: the library's recipe for each paper, all at half the MACs and equally long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.quality.dense import HOW
from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Channel
from secateur.methods import recipe
from secateur.regularizers import BNL1, SSS, GroupLasso, Growing
from secateur.repair import BatchNorm, FoldConstant
from secateur.surgeries import Dynamic

#: Epochs of one dense training; every row but the first of Li's has as many in all.
EPOCHS = 6.0
#: Epochs of the dense training from which those start that want a trained network.
EARLY = 3.0
#: The dense training.
DENSE = replace(HOW, epochs=EPOCHS)
#: Epochs before the cut and after it, for those that start from scratch and from a trained network.
SCRATCH, TRAINED = (4.5, 1.5), (2.25, 0.75)
#: What is left open of a method, and chosen on held-out images: its own figure (0 for none), and the learning rate
#: after the cut.
Choice = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table.

    Attributes:
        make: the recipe, given its figure and the learning rate after the cut.
        figure: what the figure is; empty for none.
        tried: on held-out images.
        chosen: what is in the table.
        start: epochs of dense training before; 0 starts from scratch.
    """

    make: Callable[[float, float], Recipe]
    figure: str
    tried: tuple[Choice, ...]
    chosen: Choice
    start: float = 0.0


def _of(name: str, epochs: tuple[float, float], after: float, **changes: Any) -> Recipe:
    """A recipe of the library at half the MACs, with the same repairs and the same kind of training for all.

    Args:
        name: of the recipe.
        epochs: before the cut and after it.
        after: peak learning rate after the cut.
        changes: what differs from the recipe.
    """
    first, then = epochs
    shared: dict[str, Any] = {
        "budget": Budget("0.5 macs"),
        "sparsify": replace(DENSE, epochs=first) if first else None,
        "repair": (FoldConstant(), BatchNorm()),
        "finetune": replace(DENSE, epochs=then, lr=after),
    }
    return replace(recipe(name), **{**shared, **changes})


def _slimming(strength: float, after: float) -> Recipe:
    return _of("network_slimming", SCRATCH, after, regularizer=BNL1(strength=strength))


def _ssl(strength: float, after: float) -> Recipe:
    """Batch norm undoes the size of a filter, so everything that goes with a channel is charged, scales too."""
    return _of(
        "ssl",
        SCRATCH,
        after,
        regularizer=GroupLasso(strength=strength, groups="unit"),
        criterion=Magnitude(p=2),
        granularity=Channel(over="all"),
        allocation=Global(normalize="max"),
    )


def _sss(strength: float, after: float) -> Recipe:
    return _of("sss", SCRATCH, after, regularizer=SSS(strength=strength))


def _greg(delta: float, after: float) -> Recipe:
    return _of("greg", TRAINED, after, regularizer=Growing(delta=delta, every=2, choose=0.01))


def _dns(before: float, after: float) -> Recipe:
    sparsify = replace(DENSE, epochs=TRAINED[0], lr=before)
    return _of("dns", TRAINED, after, granularity=Channel(), surgery=Dynamic(gamma=0.01), sparsify=sparsify)


def _sfp(before: float, after: float) -> Recipe:
    return _of("sfp", TRAINED, after, sparsify=replace(DENSE, epochs=TRAINED[0], lr=before))


def _tried(figures: tuple[float, ...], *, gently: tuple[float, ...] = ()) -> tuple[Choice, ...]:
    """Figures tried with the learning rate of the dense training after the cut, and those tried with a fifth of it."""
    return (*((figure, DENSE.lr) for figure in figures), *((figure, DENSE.lr / 5) for figure in gently))


ENTRIES: dict[str, Entry] = {
    "Li 2017, a quarter longer": Entry(
        lambda _, after: _of("li2017", (0, SCRATCH[1]), after),
        "",
        ((0, 0.02), (0, 0.05), (0, 0.1)),
        (0, 0.1),
        EPOCHS,
    ),
    "Li 2017": Entry(
        lambda _, after: _of("li2017", (0, EPOCHS - EARLY), after), "", ((0, 0.02), (0, 0.1)), (0, 0.1), EARLY
    ),
    "network slimming": Entry(_slimming, "strength", _tried((1e-3, 3e-3, 1e-2), gently=(1e-3, 1e-2)), (1e-3, 0.1)),
    "SSL": Entry(_ssl, "strength", _tried((1e-4, 3e-4, 1e-3), gently=(3e-4, 1e-3)), (3e-4, 0.02)),
    "SSS": Entry(_sss, "strength", _tried((3e-3, 1e-2, 3e-2), gently=(3e-3, 1e-2)), (3e-3, 0.02)),
    "SFP": Entry(lambda _, after: _of("sfp", SCRATCH, after), "", _tried((0,), gently=(0,)), (0, 0.1)),
    "SFP, from a trained network": Entry(
        _sfp, "learning rate before", _tried((0.005, 0.02), gently=(0.02,)), (0.02, 0.1), EARLY
    ),
    "GReg": Entry(_greg, "delta", _tried((3e-4, 1e-3, 3e-3), gently=(1e-3, 3e-3)), (1e-3, 0.02), EARLY),
    "DNS on filters": Entry(_dns, "learning rate before", _tried((0.03, 0.1), gently=(0.1,)), (0.1, 0.02), EARLY),
}


def how_long(name: str) -> float:
    """Epochs in all, those of the dense network at the start too."""
    entry = ENTRIES[name]
    made = entry.make(*entry.chosen)
    own = [part.epochs for part in (made.sparsify, made.finetune) if isinstance(part, FineTune)]
    return entry.start + sum(own)
