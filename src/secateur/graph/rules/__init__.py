"""One file per operator family: how its axes relate. Importing this package registers all rules."""

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
)
from secateur.graph.rules.base import RULES, Rule, Site, rule

__all__ = [
    "RULES",
    "Rule",
    "Site",
    "contraction",
    "conv",
    "creation",
    "embedding",
    "joining",
    "movement",
    "norm",
    "patches",
    "pointwise",
    "pooling",
    "recurrent",
    "reduction",
    "reparametrised",
    "rule",
]
