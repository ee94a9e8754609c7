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
#: Learning rate after the cut, the same for all, as it was chosen for Li's method.
AFTER = 0.1


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table.

    Attributes:
        make: the recipe, given the one figure that was chosen on held-out images.
        figure: what that figure is.
        tried: its values.
        chosen: the one in the table.
        start: epochs of dense training before; 0 starts from scratch.
    """

    make: Callable[[float], Recipe]
    figure: str
    tried: tuple[float, ...]
    chosen: float
    start: float = 0.0


def _of(name: str, first: float, then: float, lr: float = DENSE.lr, **changes: Any) -> Recipe:
    """A recipe of the library at half the MACs, with the same repairs and the same kind of training for all.

    Args:
        name: of the recipe.
        first: epochs before the cut.
        then: epochs after it.
        lr: peak learning rate before the cut.
        changes: what differs from the recipe.
    """
    sparsify = replace(DENSE, epochs=first, lr=lr) if first else None
    shared: dict[str, Any] = {
        "budget": Budget("0.5 macs"),
        "sparsify": sparsify,
        "repair": (FoldConstant(), BatchNorm()),
        "finetune": replace(DENSE, epochs=then, lr=AFTER),
    }
    return replace(recipe(name), **{**shared, **changes})


def _li(epochs: float) -> Callable[[float], Recipe]:
    return lambda lr: _of("li2017", 0, epochs, finetune=replace(DENSE, epochs=epochs, lr=lr))


def _ssl(strength: float) -> Recipe:
    """Batch norm undoes the size of a filter, so everything that goes with a channel is charged, scales too."""
    return _of(
        "ssl",
        *SCRATCH,
        regularizer=GroupLasso(strength=strength, groups="unit"),
        criterion=Magnitude(p=2),
        granularity=Channel(over="all"),
        allocation=Global(normalize="max"),
    )


ENTRIES: dict[str, Entry] = {
    "Li 2017, a quarter longer": Entry(
        _li(SCRATCH[1]), "learning rate after the cut", (0.02, 0.05, 0.1), AFTER, EPOCHS
    ),
    "Li 2017": Entry(_li(EPOCHS - EARLY), "learning rate after the cut", (), AFTER, EARLY),
    "network slimming": Entry(
        lambda strength: _of("network_slimming", *SCRATCH, regularizer=BNL1(strength=strength)),
        "strength",
        (1e-3, 3e-3, 1e-2),
        3e-3,
    ),
    "SSL": Entry(_ssl, "strength", (1e-4, 3e-4, 1e-3), 3e-4),
    "SSS": Entry(
        lambda strength: _of("sss", *SCRATCH, regularizer=SSS(strength=strength)), "strength", (3e-3, 1e-2, 3e-2), 1e-2
    ),
    "SFP": Entry(lambda then: _of("sfp", EPOCHS - then, then), "epochs after the cut", (), SCRATCH[1]),
    "GReg": Entry(
        lambda delta: _of("greg", *TRAINED, regularizer=Growing(delta=delta, every=2, choose=0.01)),
        "delta",
        (3e-4, 1e-3, 3e-3),
        1e-3,
        EARLY,
    ),
    "DNS on filters": Entry(
        lambda lr: _of("dns", *TRAINED, lr, granularity=Channel(), surgery=Dynamic(gamma=0.01)),
        "learning rate before the cut",
        (0.03, 0.1),
        0.03,
        EARLY,
    ),
}


def how_long(name: str) -> float:
    """Epochs in all, those of the dense network at the start too."""
    entry = ENTRIES[name]
    made = entry.make(entry.chosen)
    own = [part.epochs for part in (made.sparsify, made.finetune) if isinstance(part, FineTune)]
    return entry.start + sum(own)
