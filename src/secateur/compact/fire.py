"""Fire module: squeeze into few channels, expand by small filters and large ones."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn

from secateur.apply.layers import along, bias_size, twin, weight_of
from secateur.compact.base import checked, compact, refused
from secateur.core.contracts import Call, CompactBlock
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper


class FireModule(nn.Module):
    """A 1x1 convolution, a ReLU if there is one, then two convolutions side by side."""

    def __init__(self, squeeze: nn.Module, between: nn.Module, small: nn.Module, large: nn.Module) -> None:
        """Take the parts."""
        super().__init__()
        self.squeeze = squeeze
        self.between = between
        self.small = small
        self.large = large

    def forward(self, x: Tensor) -> Tensor:
        """The outputs of small filters, then those of large ones."""
        few = self.between(self.squeeze(x))
        return torch.cat((self.small(few), self.large(few)), -3)


@compact("fire")
@dataclass(frozen=True, kw_only=True)
class Fire(CompactBlock):
    """A 1x1 convolution into q channels, 1x1 filters for the first outputs and k x k filters for the others.

    Paper:   Iandola et al., *SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size*, 2016,
             section 3.1. arXiv:1602.07360
    Formula: W[t, s, y, x] ~ sum over a < q of C[t, a, y, x] U[s, a], U the leading singular vectors of what meets the
             inputs, C = W projected on them; of the first outputs C is kept at the middle tap only
    Shapes:  T x S x k x k -> q x S x 1 x 1, T_1 x q x 1 x 1, (T - T_1) x q x k x k
    Cost:    the SVD of an S x T k k matrix; afterwards q (S + T_1 + (T - T_1) k k) multiply-accumulates per position
    Differs: the paper trains from the start; here a trained layer is projected, and the ReLU in between makes even the
             best projection a rough start, to be distilled. Each squeezed channel has the sign with which it is
             positive on positive inputs, where the ReLU changes least. The network's own ReLU stays behind the block.
             Which outputs get small filters is not chosen, since their order must stay

    Attributes:
        squeeze: q as a share of the outputs.
        large: share of outputs that get k x k filters.
        relu: whether there is a ReLU in between.

    Example:
        >>> block = Fire(squeeze=0.5).rebuild(nn.Conv2d(8, 6, 3, padding=1))
        >>> [tuple(getattr(block, name).weight.shape) for name in ("squeeze", "small", "large")]
        [(3, 8, 1, 1), (3, 3, 1, 1), (3, 3, 3, 3)]
    """

    squeeze: float = 0.25
    large: float = 0.5
    relu: bool = True
    paper: ClassVar[Paper | None] = Paper("iandola2016")

    def __post_init__(self) -> None:
        if not 0 < self.squeeze <= 1 or not 0 < self.large < 1:
            raise IncompatibleError(
                f"squeeze must be in (0, 1] and large in (0, 1), got squeeze={self.squeeze!r}, large={self.large!r}."
            )

    def refusal(self, module: nn.Conv2d) -> str:
        """Convolutions with an odd kernel, padding that keeps the size before the stride, and two outputs or more."""
        reason = refused(module)
        if reason or module.out_channels < 2:
            return reason or "it has one output"
        sizes = zip(module.kernel_size, module.dilation, strict=True)
        if any(k % 2 == 0 for k in module.kernel_size):
            return f"its kernel is {module.kernel_size!r}, allowed are odd ones, which have a middle"
        if module.padding not in ("same", tuple(d * (k // 2) for k, d in sizes)):
            return f"its padding is {module.padding!r}, allowed is the one that keeps the size"
        return ""

    def rebuild(self, module: nn.Conv2d) -> nn.Module:
        """One module with three convolutions."""
        checked(self, module)
        weight, (few, small) = weight_of(module), self._widths(module)
        basis = torch.linalg.svd(weight.transpose(0, 1).flatten(1), full_matrices=False)[0][:, :few]
        basis = basis * torch.where(basis.sum(0) < 0, -1.0, 1.0)
        core = torch.einsum("tsyx,sa->tayx", weight, basis)
        middle = core[:small, :, core.shape[2] // 2, core.shape[3] // 2]
        biases: tuple[Tensor | None, Tensor | None] = (None, None)
        if module.bias is not None:
            biases = _part(module.bias, 0, small), _part(module.bias, small, None)
        settings = along(module, (0, 1))
        return FireModule(
            twin(module, basis.T[..., None, None], None),
            nn.ReLU() if self.relu else nn.Identity(),
            twin(module, middle[..., None, None], biases[0], stride=module.stride),
            twin(module, core[small:], biases[1], **settings),
        ).train(module.training)

    def params(self, module: nn.Conv2d) -> int:
        """`q (S + T_1 + (T - T_1) k k)` and the bias."""
        return sum(self._entries(module)) + bias_size(module)

    def macs(self, module: nn.Conv2d, call: Call) -> int:
        """The first on what the layer reads, the others on what it writes."""
        first, second = self._entries(module)
        return (first * prod(call.inputs) + second * prod(call.outputs)) * call.batch

    def _widths(self, module: nn.Conv2d) -> tuple[int, int]:
        """Squeezed channels, and outputs with small filters."""
        few = max(1, min(module.in_channels, round(self.squeeze * module.out_channels)))
        large = max(1, min(module.out_channels - 1, round(self.large * module.out_channels)))
        return few, module.out_channels - large

    def _entries(self, module: nn.Conv2d) -> tuple[int, int]:
        few, small = self._widths(module)
        return few * module.in_channels, few * (small + (module.out_channels - small) * prod(module.kernel_size))

    @classmethod
    def examples(cls) -> list[Fire]:
        """With the ReLU and without."""
        return [cls(), cls(squeeze=0.5, relu=False)]


def _part(bias: Tensor, first: int, last: int | None) -> Tensor:
    return bias.detach()[first:last].requires_grad_(bias.requires_grad)
