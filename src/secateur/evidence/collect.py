"""`collect`: one pass over the data for everything that was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
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
    private = copied(model).eval()
    for parameter in private.parameters():
        parameter.requires_grad_(gradients and parameter.is_floating_point())
    samples = 0
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        for one in collectors.values():
            stack.enter_context(one.start(private, graph))
        if hungry and batches is not None:
            total = min(limit or 2**62, length_hint(batches, limit or 0))
            for number, (inputs, target) in enumerate(islice(batches, limit), 1):
                step = _step(private, Example.of(inputs), target, loss, gradients)
                samples += step.samples
                for one in collectors.values():
                    one.update(step)
                if progress is not None:
                    progress("collect", number, total)
            if not samples:
                raise MissingEvidenceError(
                    "data holds no batches. Pass a non-empty iterable that can be walked through again."
                )
        return Evidence({need: dict(one.result()) for need, one in collectors.items()}, samples)


def _step(model: nn.Module, example: Example, target: object, loss: Loss, gradients: bool) -> Step:
    tensors = example.tensors()
    samples = len(tensors[0]) if tensors and tensors[0].ndim else 1
    if not gradients:
        with torch.no_grad():
            example.call(model)
        return Step({}, samples)
    with torch.enable_grad():
        value = loss(example.call(model), target)
        if not bool(torch.isfinite(value)):
            raise SecateurError(f"the loss is {value.item()} on a calibration batch. Check data, targets and loss.")
        named = {n: p for n, p in model.named_parameters() if p.is_floating_point()}
        found = torch.autograd.grad(value, list(named.values()), allow_unused=True)
    return Step({n: g.detach() for n, g in zip(named, found, strict=True) if g is not None}, samples)
