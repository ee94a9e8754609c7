"""Run: how a recipe is carried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from secateur.core.contracts import Loss, Progress
from secateur.distill import Distill
from secateur.evidence import cross_entropy
from secateur.planning import Constraints


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a recipe is carried out; none of it changes what the recipe means.

    Attributes:
        loss: `(output, target) -> scalar`.
        train: your own training of the masked network, in place of the recipe's fine-tuning; any loop will do.
        distill: fine-tuning also follows the network as it came, if this says how.
        constraints: multiples, frozen blocks.
        calibration: most batches used for collecting evidence.
        runtimes: where latency is measured: "torch", "onnxruntime"; empty for none.
        checkpoint: file that training saves its state in, half a minute apart; None saves nothing.
        resume: go on from that file, if it is there. The result is the one of a run that was never interrupted.
        progress: called as `(what, done, total)`.
    """

    loss: Loss = cross_entropy
    train: Callable[[nn.Module], object] | None = None
    distill: Distill | None = None
    constraints: Constraints = field(default_factory=Constraints)
    calibration: int = 32
    runtimes: tuple[str, ...] = ("torch",)
    checkpoint: Path | None = None
    resume: bool = False
    progress: Progress | None = None
