"""What a step of a chain is: a network in one state in, in the next one out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from torch import nn

from secateur.apply.masking import unmask_
from secateur.core.contracts import Batches, Loss, Progress, Quality
from secateur.core.copying import copied
from secateur.core.plan import PruningPlan
from secateur.core.quantized import Quantized
from secateur.core.registry import Registry
from secateur.evidence import cross_entropy
from secateur.quantize import dequantize_, quantized_of

STEPS: Registry[type[Step]] = Registry("step")
step = STEPS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Given:
    """What all steps of a chain have at hand.

    Attributes:
        dense: the network that the chain began with: the teacher, and the measure of everything.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments.
        data: `(inputs, target)` batches, for evidence, training and calibration.
        quality: `model -> figure(s)`, higher is better.
        loss: `(output, target) -> scalar`.
        out: folder for files.
        seed: for everything random.
        progress: called as `(what, done, total)`.
    """

    dense: nn.Module
    example_inputs: Any
    data: Batches | None = None
    quality: Quality | None = None
    loss: Loss = cross_entropy
    out: Path = Path("compressed")
    seed: int = 0
    progress: Progress | None = None

    def judged(self, model: nn.Module) -> dict[str, float]:
        """Figures by name."""
        found = self.quality(model) if self.quality is not None else {}
        return {"quality": float(found)} if isinstance(found, int | float) else {k: float(v) for k, v in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """A network on its way.

    Attributes:
        model: as it is now: plain, masked, or with quantized weights.
        plan: of the structured cut, if the chain so far is that cut and trainings alone.
        path: the file that was written, if one was.
        bytes: its size, with all files that belong to it.
        told: what the last step has to say, one line each.
        quality: figures of the file, where it does not compute what `model` does.
        latency: milliseconds of the file in its runtime, by runtime.
    """

    model: nn.Module
    plan: PruningPlan | None = None
    path: Path | None = None
    bytes: int = 0
    told: tuple[str, ...] = ()
    quality: Mapping[str, float] | None = None
    latency: Mapping[str, float] = field(default_factory=dict)

    def plain(self) -> nn.Module:
        """The network with masks and codes baked into ordinary parameters."""
        return unmask_(dequantize_(copied(self.model)))

    def codes(self) -> dict[str, Quantized]:
        """What its weights were quantized to; empty if they were not."""
        return quantized_of(self.model)


class Step(ABC):
    """One step of a chain: a frozen dataclass of plain settings.

    Attributes:
        stage: steps of a lower stage come first; None for steps that fit in anywhere before the last.
        reason: why steps of a lower stage make no sense after this one.
        not_after: registered names of steps that may not come before this one, and why.
    """

    stage: ClassVar[int | None]
    reason: ClassVar[str] = ""
    not_after: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @abstractmethod
    def apply(self, state: State, given: Given) -> State:
        """The next state; neither `state` nor what it holds is changed."""

    @abstractmethod
    def __str__(self) -> str:
        """A few words for a table."""
