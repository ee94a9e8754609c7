"""Ghost module: some filters in earnest, the others as cheap copies of these."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secateur.apply.layers import along, bias_size, twin, weight_of
from secateur.compact.base import checked, compact, refused, solved
from secateur.core.contracts import Call, CompactBlock
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper


class GhostModule(nn.Module):
    """Intrinsic maps, and maps that a depthwise convolution makes of them."""

    order: Tensor | None
    bias: nn.Parameter | None

    def __init__(
        self, intrinsic: nn.Module, cheap: nn.Module, bias: Tensor | None, order: Tensor | None, outputs: int
    ) -> None:
        """Take the parts.

        Args:
            intrinsic: makes the intrinsic maps.
            cheap: makes ghosts of them.
            bias: of all maps, in the order of the intrinsic ones and the ghosts.
            order: for each output its place among these; None for the same order.
            outputs: maps in all; ghosts beyond are dropped.
        """
        super().__init__()
        self.intrinsic = intrinsic
        self.cheap = cheap
        self.outputs = outputs
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=bias.requires_grad)
        self.register_buffer("order", order)

    def forward(self, x: Tensor) -> Tensor:
        """Both, in the order of the layer that was replaced."""
        maps = self.intrinsic(x)
        found = torch.cat((maps, self.cheap(maps)), -3)
        if self.order is not None:
            found = found.index_select(-3, self.order)
        elif found.shape[-3] > self.outputs:
            found = found.narrow(-3, 0, self.outputs)
        return found if self.bias is None else found + self.bias[:, None, None]


@compact("ghost")
@dataclass(frozen=True, kw_only=True)
class Ghost(CompactBlock):
    """m = T / s filters stay as they are; each makes s - 1 more maps by d x d filters of its own.

    Paper:   Han et al., *GhostNet: More Features from Cheap Operations*, CVPR 2020, Eq. 2 to 4. arXiv:1911.11907
    Formula: y_i = W_i * x for m intrinsic filters, y_ij = C_ij * y_i; ghost t of filter i has
             C = argmin || W_t - C * W_i ||^2, the filters taken as functions on the plane
    Shapes:  T x S x h x w -> m x S x h x w, m (s - 1) x 1 x d x d
    Cost:    T^2 least squares in d^2 unknowns: T^2 S (h + d)(w + d) d^2; afterwards m (S h w + (s - 1) d^2)
             multiply-accumulates per position for S T h w
    Differs: the paper trains from the start; here intrinsic filters are chosen from a trained layer, one by one, each
             as the one that best explains the rest together with those before, and ghosts go to the filter that
             explains them best, at most s - 1 to each. The network's ReLU follows after both, not in between. Putting
             maps back in order names them by position, so that their channels cannot be cut afterwards; with
             `choose=False` the first filters are the intrinsic ones and all can be cut

    Attributes:
        maps: s; so many maps for each intrinsic one.
        width: d of the cheap filters, odd.
        choose: whether intrinsic filters are chosen, or are the first ones.

    Example:
        >>> block = Ghost().rebuild(nn.Conv2d(8, 6, 3))
        >>> block.intrinsic.out_channels, block.cheap.out_channels
        (3, 3)
    """

    maps: int = 2
    width: int = 3
    choose: bool = True
    paper: ClassVar[Paper | None] = Paper("han2020")

    def __post_init__(self) -> None:
        if self.maps < 2 or self.width < 1 or self.width % 2 == 0:
            raise IncompatibleError(
                f"maps must be 2 or more and width odd, got maps={self.maps!r}, width={self.width!r}."
            )

    def refusal(self, module: nn.Conv2d) -> str:
        """Convolutions in one group with more than one output."""
        reason = refused(module, pointwise=True)
        return reason or ("it has one output" if module.out_channels < 2 else "")

    def rebuild(self, module: nn.Conv2d) -> nn.Module:
        """One module with two convolutions."""
        checked(self, module)
        weight, few = weight_of(module), self._intrinsic(module)
        taps, left = self._explained(module, weight)
        chosen, ghosts = self._order(left, few)
        filters = weight.new_zeros(len(ghosts), 1, self.width, self.width)
        for place, t in enumerate(ghosts):
            if t is not None:
                filters[place, 0] = taps[chosen[place // (self.maps - 1)], t]
        where = torch.tensor([*chosen, *(-1 if t is None else t for t in ghosts)])
        places = torch.tensor([int((where == t).nonzero()[0, 0]) for t in range(len(weight))])
        bias = None
        if module.bias is not None:
            bias = module.bias.detach().clone().requires_grad_(module.bias.requires_grad)
        plain = torch.equal(places, torch.arange(len(weight)))
        cheap = twin(module, filters, None, groups=few, padding=self.width // 2)
        intrinsic = twin(module, weight[chosen], None, **along(module, (0, 1)))
        places = places.to(module.weight.device)
        return GhostModule(intrinsic, cheap, bias, None if plain else places, len(weight)).train(module.training)

    def params(self, module: nn.Conv2d) -> int:
        """`m (S h w + (s - 1) d^2)` and the bias."""
        return self._entries(module) + bias_size(module)

    def macs(self, module: nn.Conv2d, call: Call) -> int:
        """The same at every position that is written."""
        return self._entries(module) * call.batch * prod(call.outputs)

    def _order(self, left: Tensor, few: int) -> tuple[list[int], list[int | None]]:
        """The intrinsic filters, and for each of them the ghosts that it makes."""
        if self.choose:
            chosen = _chosen(left, few)
            rest = [t for t in range(len(left)) if t not in chosen]
            return chosen, _assigned(left[chosen], rest, self.maps - 1)
        places = range(few, few * self.maps)
        return list(range(few)), [t if t < len(left) else None for t in places]

    def _intrinsic(self, module: nn.Conv2d) -> int:
        return -(-module.out_channels // self.maps)

    def _entries(self, module: nn.Conv2d) -> int:
        each = module.in_channels * prod(module.kernel_size) + (self.maps - 1) * self.width**2
        return self._intrinsic(module) * each

    def _explained(self, module: nn.Conv2d, weight: Tensor) -> tuple[Tensor, Tensor]:
        """For filters i and t: the taps `(i, t, d, d)` with which i explains t best, and the square that is left.

        A tap of the cheap filter shifts the intrinsic one by whole strides of the layer, in units of its dilation.
        """
        reach = self.width // 2
        steps = [(_over(s, d), _over(d, s)) for s, d in zip(module.stride, module.dilation, strict=True)]
        # A shift by `stride` pixels is one by stride / dilation taps; on a finer grid both are whole.
        grid = _spread(weight, [fine for _, fine in steps])
        room = [reach * shift for shift, _ in steps]
        wide = F.pad(grid, (room[1], room[1], room[0], room[0]))
        squares = weight.flatten(1).square().sum(1)
        taps, left = [], []
        target = wide.flatten(1)
        for i in range(len(weight)):
            moved = torch.stack(
                [
                    torch.roll(wide[i], (dy * steps[0][0], dx * steps[1][0]), (1, 2)).flatten()
                    for dy in range(-reach, reach + 1)
                    for dx in range(-reach, reach + 1)
                ]
            )
            right = moved @ target.T
            found = solved(moved @ moved.T, right)
            taps.append(found.T.reshape(len(weight), self.width, self.width))
            left.append(squares - (found * right).sum(0))
        return torch.stack(taps), torch.stack(left).clamp_min(0)

    @classmethod
    def examples(cls) -> list[Ghost]:
        """Chosen filters and the first ones, two maps for each and three."""
        return [cls(), cls(maps=3, choose=False), cls(maps=3, width=1)]


def _over(a: int, b: int) -> int:
    """Numerator of a / b in lowest terms."""
    return int(torch.lcm(torch.tensor(a), torch.tensor(b))) // b


def _spread(weight: Tensor, fine: list[int]) -> Tensor:
    """The filters on a grid that is `fine` times as fine."""
    height, width = ((n - 1) * f + 1 for n, f in zip(weight.shape[2:], fine, strict=True))
    found = weight.new_zeros(*weight.shape[:2], height, width)
    found[:, :, :: fine[0], :: fine[1]] = weight
    return found


def _chosen(left: Tensor, few: int) -> list[int]:
    """Filters that explain all, greedily: `left[i, t]` is what i leaves of t."""
    best = torch.full((len(left),), float("inf"), dtype=left.dtype)
    found: list[int] = []
    alone = left.clone().fill_diagonal_(0)
    for _ in range(few):
        totals = torch.minimum(alone, best).sum(1)
        totals[found] = float("inf")
        found.append(int(totals.argmin()))
        best = torch.minimum(best, alone[found[-1]])
    return sorted(found)


def _assigned(left: Tensor, ghosts: list[int], most: int) -> list[int | None]:
    """For each chosen filter the `most` ghosts that it makes, best pairs first."""
    rooms: list[list[int]] = [[] for _ in left]
    if not ghosts:
        return [None] * (most * len(left))
    free = set(ghosts)
    for pair in left[:, ghosts].flatten().argsort(stable=True).tolist():
        i, t = pair // len(ghosts), ghosts[pair % len(ghosts)]
        if t in free and len(rooms[i]) < most:
            rooms[i].append(t)
            free.discard(t)
    return [t for room in rooms for t in [*sorted(room), *[None] * (most - len(room))]]
