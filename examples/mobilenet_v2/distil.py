"""Label-free recovery: a pruned network learns to answer as the dense one does, block by block and in the end.

The loss is the mean of relative squared errors, ``||student - dense||^2 / ||dense - mean||^2``, of the logits and of
the output of every block. Blocks keep their outer width when pruned, so the outputs have equal shapes. The many
targets inside make much of few photos; no label and no held-out photo is used.

Batch norms stay in evaluation mode: their scales and shifts learn, their statistics do not move, because those of
these photos would be wrong (see `mending`).
"""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import photos
import torch
from torch import Tensor, nn

from secateur.bench.zoo.mobilenet_v2 import InvertedResidual

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""

_WARM_UP = 0.05


def distil_(
    student: nn.Module,
    dense: nn.Module,
    chosen: Sequence[photos.Photo],
    steps: int,
    *,
    seed: int = 0,
    batch_size: int = 16,
    peak_lr: float = 4e-4,
    size: int = 160,
    progress: Progress = lambda done, total: None,
) -> None:
    """Trains a pruned network to match the dense one on random crops.

    Args:
        student: The pruned network; changed in place, left in evaluation mode.
        dense: The network to match.
        chosen: Photos that crops are drawn from.
        steps: Steps of AdamW.
        seed: For the crops.
        batch_size: Crops in one step.
        peak_lr: Learning rate after the warm-up; it falls to zero along a cosine.
        size: Side of a crop, in pixels; at 160 a step takes half the time that it takes at 224.
        progress: Called after each step.
    """
    generator = torch.Generator().manual_seed(seed)
    student.eval()
    optimizer = torch.optim.AdamW(student.parameters(), lr=peak_lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps))
    with _outputs(dense) as wanted, _outputs(student) as found:
        for step in range(steps):
            crops = photos.random_crops(chosen, batch_size, generator, size)
            crops = crops.contiguous(memory_format=torch.channels_last)
            with torch.no_grad():
                wanted.append(dense(crops))
            found.append(student(crops))
            errors = [relative_error(x, y) for x, y in zip(found, wanted, strict=True)]
            optimizer.zero_grad()
            torch.stack(errors).mean().backward()
            optimizer.step()
            schedule.step()
            wanted.clear()
            found.clear()
            progress(step + 1, steps)


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: a short rise, then half a cosine."""
    rise = max(1, round(_WARM_UP * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def relative_error(found: Tensor, wanted: Tensor) -> Tensor:
    """Squared error, relative to the spread of what is wanted around its mean over batch and places."""
    over = [0, *range(2, wanted.ndim)]
    spread = (wanted - wanted.mean(over, keepdim=True)).square().mean()
    return (found - wanted).square().mean() / spread


def affordable(student: nn.Module, dense: nn.Module, chosen: Sequence[photos.Photo], minutes: float) -> int:
    """Number of steps that fit into some minutes on this machine, now; found by taking a few on a copy."""
    trial = 4
    copied = copy.deepcopy(student)
    distil_(copied, dense, chosen, 2)  # The first steps decode photos and warm up.
    start = time.perf_counter()
    distil_(copied, dense, chosen, trial, seed=1)
    return max(1, round(minutes * 60 * trial / (time.perf_counter() - start)))


@contextmanager
def _outputs(network: nn.Module) -> Iterator[list[Tensor]]:
    """Collects what each block puts out, in order."""
    found: list[Tensor] = []
    blocks = [module for module in network.modules() if isinstance(module, InvertedResidual)]
    handles = [block.register_forward_hook(lambda module, args, output: found.append(output)) for block in blocks]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
