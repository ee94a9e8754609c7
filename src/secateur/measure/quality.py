"""Classification accuracy, the figure that most comparisons are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from secateur.apply.verify import outputs
from secateur.core.contracts import Batches
from secateur.core.errors import IncompatibleError
from secateur.core.example import Example


def accuracy(model: nn.Module, batches: Batches, *, k: Sequence[int] = (1, 5)) -> dict[str, float]:
    """The fraction of targets that are among the k classes with the highest scores.

    Args:
        model: run in eval mode without gradients; its mode is put back.
        batches: `(inputs, target)`; inputs are a tensor, a tuple or a dict; target holds class numbers, `(B, ..)`.
        k: sizes of the list that a target must be in; where there are fewer classes, every target is.

    Returns:
        "top1", "top5", … in [0, 1].

    Raises:
        IncompatibleError: there are no examples, or scores `(B, classes, ..)` and targets do not belong together.
    """
    hits, total = dict.fromkeys(k, 0), 0
    place = next((p.device for p in model.parameters()), torch.device("cpu"))
    for inputs, target in batches:
        found = outputs(model, Example.of(inputs).map(lambda x: x.to(place)))
        ranked = _ranked(found, target, max(k)).to(target.device)
        right = ranked == target.unsqueeze(1)
        total += target.numel()
        for size in k:
            hits[size] += int(right[:, :size].sum())
    if not total:
        raise IncompatibleError("accuracy got no examples. Pass at least one batch of (inputs, target).")
    return {f"top{size}": count / total for size, count in hits.items()}


def _ranked(found: Sequence[Any], target: Any, most: int) -> Tensor:
    """Class numbers, best first, `(B, most, ..)`; of several outputs the first one counts."""
    scores = found[0] if found else None
    if not isinstance(scores, Tensor) or scores.ndim < 2 or not isinstance(target, Tensor):
        raise IncompatibleError(
            "accuracy needs a model whose first output is a tensor of scores (B, classes, ..), and a target tensor of "
            f"class numbers, got {_shown(scores)} and {_shown(target)}. For other tasks write a quality function."
        )
    if target.shape != (scores.shape[0], *scores.shape[2:]) or target.is_floating_point():
        raise IncompatibleError(
            f"scores {_shown(scores)} and target {_shown(target)} do not belong together. "
            "The target must hold one class number for each example: the scores' shape without its second dim."
        )
    return scores.topk(min(most, scores.shape[1]), dim=1).indices


def _shown(x: Any) -> str:
    return f"{x.dtype} {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
