"""One file per operator family: how its axes relate. Importing this package registers all rules.

What the author of a rule needs is here: `docs/rules.md` shows how to write one, in this package or in another.

- `rule` registers it, `Site` is what it sees, `State` is what it returns for every tensor that comes out.
- `Role` says what a dim of a parameter does with units: makes, scales, shifts or sums over them, or just follows.
- `elementwise`, `move`, `along`, `product` and `convolution` are whole rules to start from; `couple`, `add_bias` and
  `length` are parts of them.
- `RULES` has all rules by operator.
"""

from secateur.core.groups import Role
from secateur.graph.labels import State
from secateur.graph.rules import (
    contraction,
    conv,
    creation,
    embedding,
    joining,
    movement,
    norm,
    patches,
    pointwise,
    pooling,
    recurrent,
    reduction,
    reparametrised,
    scattering,
    spectral,
)
from secateur.graph.rules.base import RULES, Rule, Site, length, load_rules, rule
from secateur.graph.rules.contraction import add_bias, product
from secateur.graph.rules.conv import convolution
from secateur.graph.rules.movement import couple, move
from secateur.graph.rules.pointwise import pointwise as elementwise
from secateur.graph.rules.reduction import along

__all__ = [
    "RULES",
    "Role",
    "Rule",
    "Site",
    "State",
    "add_bias",
    "along",
    "contraction",
    "conv",
    "convolution",
    "couple",
    "creation",
    "elementwise",
    "embedding",
    "joining",
    "length",
    "load_rules",
    "move",
    "movement",
    "norm",
    "patches",
    "pointwise",
    "pooling",
    "product",
    "recurrent",
    "reduction",
    "reparametrised",
    "rule",
    "scattering",
    "spectral",
]
