"""How far a pruned network agrees with the dense one on photos; no labels are needed for that."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import photos
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Agreement:
    """What a network says about some photos, compared with what the dense one says.

    Attributes:
        top1: Share of photos on which both have the same first guess.
        stderr: Binomial standard error of `top1`.
        error: Relative logit error, see `logit_error`.
        photos: Number of photos.
    """

    top1: float
    stderr: float
    error: float
    photos: int


@torch.inference_mode()
def logits(network: nn.Module, images: Tensor, batch_size: int = 32) -> Tensor:
    """Runs a network in evaluation mode.

    Args:
        network: Maps ``[batch, 3, h, w]`` to logits ``[batch, 1000]``.
        images: ``[n, 3, h, w]``.
        batch_size: Images in one pass.

    Returns:
        ``[n, 1000]``.
    """
    was_training = network.training
    network.eval()
    found = torch.cat([network(part) for part in images.split(batch_size)])
    network.train(was_training)
    return found


def agreement(found: Tensor, dense: Tensor, chosen: Sequence[int] | None = None) -> Agreement:
    """Compares logits with the dense network's.

    Args:
        found: Logits of the pruned network, ``[n, classes]``.
        dense: Logits of the dense network, ``[n, classes]``.
        chosen: Rows to look at; all by default.

    Returns:
        The comparison.
    """
    rows = list(range(len(dense))) if chosen is None else list(chosen)
    top1, stderr = binomial((found[rows].argmax(1) == dense[rows].argmax(1)).tolist())
    return Agreement(top1, stderr, logit_error(found[rows], dense[rows]), len(rows))


def logit_error(found: Tensor, dense: Tensor) -> float:
    """Relative error of logits: ``||z - z_dense|| / ||z_dense - mean||``, both over all photos.

    Softmax is blind to a constant added to all logits of a photo, so each row's mean is taken off first.
    The mean in the denominator is that over photos: always giving the average answer has error 1.
    """
    z, wanted = (x - x.mean(1, keepdim=True) for x in (found, dense))
    return float((z - wanted).norm() / (wanted - wanted.mean(0)).norm())


def top1(found: Tensor, chosen: Sequence[photos.Photo]) -> tuple[float, float, int]:
    """Top-1 on those photos that have a label, its standard error, and how many there are."""
    hits = [int(z.argmax()) == photo.label for z, photo in zip(found, chosen, strict=True) if photo.label is not None]
    return (*binomial(hits), len(hits))


def binomial(hits: Sequence[bool]) -> tuple[float, float]:
    """Share of hits and its standard error."""
    share = sum(hits) / max(len(hits), 1)
    return share, math.sqrt(share * (1 - share) / max(len(hits), 1))
