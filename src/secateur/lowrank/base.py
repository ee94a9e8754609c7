"""The registry of factorizers, and the arithmetic that they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

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


def weight_of(module: nn.Module) -> Tensor:
    """The weight of a layer to calculate with: detached, float64, on the CPU."""
    assert isinstance(module.weight, Tensor)
    return module.weight.detach().to("cpu", torch.float64)


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


def twin(module: nn.Module, weight: Tensor, bias: Tensor | None, **settings: Any) -> nn.Module:
    """A layer of the kind of `module` with this weight, on its device, in its dtype, as trainable and in its mode.

    Args:
        module: a linear layer or a convolution.
        weight: of the new layer; its shape says how many channels there are.
        bias: of the new layer, or None.
        settings: stride, padding, dilation, groups, padding_mode of a convolution, where they are not the defaults.
    """
    assert isinstance(module, nn.Linear | nn.Conv2d)
    common: dict[str, Any] = {"bias": bias is not None, "device": module.weight.device, "dtype": module.weight.dtype}
    layer: nn.Linear | nn.Conv2d
    if isinstance(module, nn.Linear):
        layer = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], **common)
    else:
        entering = weight.shape[1] * settings.get("groups", 1)
        layer = nn.utils.skip_init(nn.Conv2d, entering, weight.shape[0], tuple(weight.shape[2:]), **settings, **common)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.weight.requires_grad_(module.weight.requires_grad)
        if bias is not None:
            assert layer.bias is not None
            layer.bias.copy_(bias)
            layer.bias.requires_grad_(bias.requires_grad)
    return layer.train(module.training)


def row(module: nn.Module, layers: Sequence[nn.Module]) -> nn.Sequential:
    """Layers one after the other, in the mode of `module`."""
    return nn.Sequential(*layers).train(module.training)


def along(module: nn.Conv2d, dims: tuple[int, ...]) -> dict[str, Any]:
    """The settings of a convolution along some of its two dims, neutral along the other."""

    def pick(value: tuple[int, ...], neutral: int) -> tuple[int, ...]:
        return tuple(v if d in dims else neutral for d, v in enumerate(value))

    padding = module.padding if isinstance(module.padding, str) else pick(module.padding, 0)
    return {
        "stride": pick(module.stride, 1),
        "padding": padding,
        "dilation": pick(module.dilation, 1),
        "padding_mode": module.padding_mode if padding not in ((0, 0), "valid") else "zeros",
    }


def bias_size(module: nn.Module) -> int:
    """Entries of the bias."""
    return module.bias.numel() if isinstance(module.bias, Tensor) else 0
