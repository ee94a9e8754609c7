"""Collectors: what is known of a network and its data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from secateur.core.contracts.common import Loss
from secateur.core.example import Example
from secateur.core.groups import ChannelGraph


@dataclass(frozen=True, slots=True)
class Step:
    """What a collector sees of one batch, after the forward pass (and the backward pass, where one is asked for).

    Attributes:
        gradients: parameter name to the gradient of the batch's mean loss; empty unless a collector wants it.
        samples: examples in the batch.
        example: the inputs, for collectors that run the model themselves.
        target: what goes with them.
        loss: `(output, target) -> scalar`.
        walk: how many times the data were walked through before.
    """

    gradients: Mapping[str, Tensor]
    samples: int
    example: Example
    target: Any
    loss: Loss
    walk: int = 0


class Collector(ABC):
    """Gathers one quantity; the only mutable plug-in, and it lives only inside `collect`.

    Attributes:
        wants_data: it is of no use without batches.
        wants_gradients: `Step.gradients` must hold the gradient of each batch's mean loss.
        runs_itself: it runs the model in `update`, as second derivatives and gradients of single examples ask for. It
            gets a copy of the model for itself, whose parameters require gradients, and `collect` runs nothing for it.
        walks: how many times it has to see all batches.
        additive: evidence of two halves of the data merges into that of the whole. Where it does not, `merge` gives the
            mean, weighted by examples.
    """

    wants_data: ClassVar[bool] = True
    wants_gradients: ClassVar[bool] = False
    runs_itself: ClassVar[bool] = False
    walks: ClassVar[int] = 1
    additive: ClassVar[bool] = True

    @abstractmethod
    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Look at `model`, register hooks; leaving the context removes them."""

    @abstractmethod
    def update(self, step: Step) -> None:
        """Take in one batch."""

    @abstractmethod
    def result(self) -> Mapping[str, Tensor]:
        """The quantity by tensor name (or by that of a module of `graph.blocks`), detached."""

    @staticmethod
    @abstractmethod
    def merge(a: Mapping[str, Tensor], b: Mapping[str, Tensor], na: int, nb: int) -> Mapping[str, Tensor]:
        """The result for the examples of both, given how many each saw."""
