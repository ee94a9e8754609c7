"""Estimate batch-norm statistics again: the cheapest repair, and the one that matters most."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

import torch
from torch import nn

from secateur.core.contracts import Known, Repair
from secateur.core.errors import IncompatibleError, MissingEvidenceError
from secateur.core.example import Example
from secateur.core.paper import Paper
from secateur.core.plan import PruningPlan
from secateur.repair.base import repair


@repair("batch_norm")
@dataclass(frozen=True, kw_only=True)
class BatchNorm(Repair):
    """Replace running means and variances by the averages over some batches.

    Paper:   Li et al., *EagleEye*, ECCV 2020, Sec. 3.3 (adaptive batch normalisation). arXiv:2007.02491
    Formula: mu, sigma^2 = mean over batches of the batch mean and variance
    Cost:    one forward pass per batch
    Differs: a plain average over `batches` batches instead of a running one

    Attributes:
        batches: use at most so many batches.
    """

    batches: int = 50
    stage: ClassVar[int] = 2
    paper: ClassVar[Paper | None] = Paper("li2020eagleeye")

    def __post_init__(self) -> None:
        if self.batches < 1:
            raise IncompatibleError(
                f"batches must be 1 or more, got batches={self.batches!r}. 50 are enough as a rule."
            )

    def repair_(self, student: nn.Module, dense: nn.Module, plan: PruningPlan, known: Known) -> None:
        """Overwrite the running statistics of `student`."""
        kind = nn.modules.batchnorm._BatchNorm  # noqa: SLF001  the common base of all batch norms
        norms = [m for m in student.modules() if isinstance(m, kind) and m.track_running_stats]
        if not norms or not plan.masks():  # nothing was cut, so nothing needs mending
            return
        seen = 0
        with _averaging(student, norms), torch.no_grad(), torch.random.fork_rng(devices=[]):
            for seen, (inputs, _) in enumerate(islice(known.batches, self.batches), 1):
                if seen == 1:
                    _reset_(norms)
                Example.of(inputs).call(student)
        if not seen:
            raise MissingEvidenceError(
                "data holds no batches. Pass a non-empty iterable that can be walked through again."
            )


def _reset_(norms: list[nn.modules.batchnorm._BatchNorm]) -> None:
    for norm in norms:
        norm.reset_running_stats()


@contextmanager
def _averaging(model: nn.Module, norms: list[nn.modules.batchnorm._BatchNorm]) -> Iterator[None]:
    """Only the norms learn, by a cumulative average; modes and momenta are put back."""
    modes = {m: m.training for m in model.modules()}
    momenta = {norm: norm.momentum for norm in norms}
    model.eval()
    for norm in norms:
        norm.momentum = None
        norm.train()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for norm, momentum in momenta.items():
            norm.momentum = momentum
