"""The registry of factorizers, and the arithmetic that they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from secateur.apply.layers import weight_of
from secateur.core.contracts import Candidate, Factorizer, Ranks
from secateur.core.errors import IncompatibleError, UnsupportedError
from secateur.core.registry import Registry

FACTORIZERS: Registry[type[Factorizer]] = Registry("factorizer")
factorizer = FACTORIZERS


def refused(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> str:
    """Why `module` is none of `kinds` in their plain form; empty if it is."""
    if type(module) not in kinds:
        return f"it is a {type(module).__name__}, allowed are {', '.join(k.__name__ for k in kinds)}"
    if isinstance(module, nn.Conv2d) and module.groups > 1:
        return f"it is a convolution in {module.groups} groups, allowed is one of groups=1"
    return "" if bool(torch.isfinite(weight_of(module)).all()) else "its weight is not finite"


def checked(one: Factorizer, module: nn.Module, ranks: Ranks) -> None:
    """Make sure that `module` can be factorized at `ranks`.

    Raises:
        UnsupportedError: the factorizer does not take such a module.
        IncompatibleError: there are too many ranks or too few, or they are out of range.
    """
    reason = one.refusal(module)
    if reason:
        raise UnsupportedError(f"{one!r} cannot factorize the module: {reason}. Choose another or leave it whole.")
    full = one.full(module)
    if len(ranks) != len(full) or not all(1 <= r <= most for r, most in zip(ranks, full, strict=False)):
        raise IncompatibleError(
            f"ranks must be {len(full)} whole numbers from 1 to {full!r}, got ranks={ranks!r}. At {full!r} nothing is "
            "lost."
        )


def svd_of(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """`(m, r)` and `(r, n)` whose product is the nearest of rank r; each carries the root of the singular values."""
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * vh[:rank]


def tail_curve(matrix: Tensor) -> list[Candidate]:
    """Every rank of a matrix and the share of its square that lies beyond."""
    square = torch.linalg.svdvals(matrix).square()
    beyond = square.flip(0).cumsum(0).flip(0)[1:].tolist()
    total = float(square.sum()) or 1.0
    return [Candidate((rank + 1,), lost / total) for rank, lost in enumerate([*beyond, 0.0])]


def measured_curve(
    one: Factorizer, module: nn.Module, choices: Sequence[Ranks], build: Callable[[Ranks], nn.Module]
) -> list[Candidate]:
    """What is lost at some ranks, by trying them; those that lose no less than smaller ones are left out."""
    weight = weight_of(module)
    found: list[Candidate] = []
    for ranks in choices:
        lost = lost_share(weight, one.weight(build(ranks)))
        if not found or lost < found[-1].lost:
            found.append(Candidate(ranks, lost))
    return found


def lost_share(weight: Tensor, approximation: Tensor) -> float:
    """`||W - W'||^2 / ||W||^2`; 0 for two tensors of zeros."""
    error, whole = float((weight - approximation).square().sum()), float(weight.square().sum())
    return error / whole if whole else float(error > 0)


def steps(most: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12, … and `most`."""
    found = {most}
    power = 1
    while power < most:
        found |= {power, power * 3 // 2}
        power *= 2
    return sorted(x for x in found if 1 <= x <= most)
