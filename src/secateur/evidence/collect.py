"""`collect`: one pass over the data for everything that was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from operator import length_hint

import torch
from torch import nn
from torch.nn import functional as F

from secateur.core.contracts import Batches, Collector, Loss, Progress, Step
from secateur.core.copying import copied
from secateur.core.errors import MissingEvidenceError, SecateurError
from secateur.core.evidence import Evidence
from secateur.core.example import Example
from secateur.core.groups import ChannelGraph


def cross_entropy(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The default loss: mean cross-entropy of logits `(B, classes)` against class numbers `(B,)`."""
    return F.cross_entropy(output, target)


def collect(
    model: nn.Module,
    batches: Batches | None,
    needs: Iterable[type[Collector]],
    *,
    graph: ChannelGraph,
    loss: Loss = cross_entropy,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Evidence:
    """Gather the quantities in `needs` about `model`, in eval mode, on a copy.

    Args:
        model: not touched: no gradient, hook, mode or buffer of it changes.
        batches: pairs `(inputs, target)`; may be None if no quantity needs data.
        needs: collector classes, for instance `Taylor.needs`.
        graph: the channel graph of `model`.
        loss: `(output, target) -> scalar`, used if gradients are needed.
        limit: use at most so many batches.
        progress: called as `(what, done, total)` after each batch.

    Returns:
        The evidence.

    Raises:
        MissingEvidenceError: a quantity needs data and there is none.
    """
    collectors = {need: need() for need in dict.fromkeys(needs)}
    hungry = [need.__name__ for need in collectors if need.wants_data]
    if hungry and batches is None:
        raise MissingEvidenceError(
            f"{', '.join(hungry)} cannot be collected without data. "
            "Pass data=, an iterable of (inputs, target) batches, or choose a data-free criterion such as magnitude."
        )
    gradients = any(need.wants_gradients for need in collectors)
    shared = _private(model, gradients)
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        for need, one in collectors.items():
            stack.enter_context(one.start(_private(model, True) if need.runs_itself else shared, graph))
        walked = _Walk(shared, loss, gradients, limit, progress)
        samples = 0
        for walk in range(max((need.walks for need in collectors if need.wants_data), default=0)):
            asking = [one for need, one in collectors.items() if need.wants_data and need.walks > walk]
            samples = walked.through([] if batches is None else batches, asking, walk)
        if hungry and not samples:
            raise MissingEvidenceError(
                "data holds no batches. Pass a non-empty iterable that can be walked through again."
            )
        return Evidence({need: dict(one.result()) for need, one in collectors.items()}, samples)


def _private(model: nn.Module, gradients: bool) -> nn.Module:
    """A copy in eval mode, whose parameters require gradients or do not."""
    private = copied(model).eval()
    for parameter in private.parameters():
        parameter.requires_grad_(gradients and parameter.is_floating_point())
    return private


@dataclass(frozen=True, slots=True)
class _Walk:
    """How batches are walked through.

    Attributes:
        model: the copy that all collectors look at which do not run one of their own.
        loss: `(output, target) -> scalar`.
        gradients: whether a backward pass is asked for.
        limit: most batches.
        progress: called after each batch.
    """

    model: nn.Module
    loss: Loss
    gradients: bool
    limit: int | None
    progress: Progress | None

    def through(self, batches: Batches, collectors: Sequence[Collector], walk: int) -> int:
        """Show every batch to `collectors` once; returns how many examples there were."""
        total, samples = min(self.limit or 2**62, length_hint(batches, self.limit or 0)), 0
        for number, (inputs, target) in enumerate(islice(batches, self.limit), 1):
            idle = all(one.runs_itself for one in collectors)
            step = self._step(Example.of(inputs), target, walk, idle=idle)
            samples += step.samples
            for one in collectors:
                one.update(step)
            if self.progress is not None:
                self.progress("collect", number, total)
        return samples

    def _step(self, example: Example, target: object, walk: int, *, idle: bool) -> Step:
        tensors = example.tensors()
        samples = len(tensors[0]) if tensors and tensors[0].ndim else 1
        found: Mapping[str, torch.Tensor] = {}
        if self.gradients and not idle:
            found = self._gradients(example, target)
        elif not idle:
            with torch.no_grad():
                example.call(self.model)
        return Step(found, samples, example, target, self.loss, walk)

    def _gradients(self, example: Example, target: object) -> Mapping[str, torch.Tensor]:
        with torch.enable_grad():
            value = self.loss(example.call(self.model), target)
            if not bool(torch.isfinite(value)):
                raise SecateurError(f"the loss is {value.item()} on a calibration batch. Check data, targets and loss.")
            named = {n: p for n, p in self.model.named_parameters() if p.is_floating_point()}
            found = torch.autograd.grad(value, list(named.values()), allow_unused=True)
        return {n: g.detach() for n, g in zip(named, found, strict=True) if g is not None}
