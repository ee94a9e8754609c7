"""Low rank plus sparse: what a thin pair of layers cannot say, a few single weights add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from secateur.apply.layers import along, bias_size, row, twin, weight_of
from secateur.core.contracts import Call, Candidate, Factorizer, Ranks
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.lowrank.base import checked, factorizer, lost_share, refused, steps, svd_of


class Held(nn.Module):
    """Keeps single weights at zero, in training too: the weight is `keep * w`."""

    keep: Tensor

    def __init__(self, keep: Tensor) -> None:
        """Remember which entries stay."""
        super().__init__()
        self.register_buffer("keep", keep)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with its zeros."""
        return weight * self.keep


class ThinPlusSparse(nn.Module):
    """The sum of two layers in a row and a sparse one."""

    def __init__(self, low: nn.Module, sparse: nn.Module) -> None:
        """Put both side by side."""
        super().__init__()
        self.low = low
        self.sparse = sparse

    def forward(self, x: Tensor) -> Tensor:
        """Both, added."""
        low: Tensor = self.low(x)
        found: Tensor = low.add(self.sparse(x))
        return found


@factorizer("low_rank_plus_sparse")
@dataclass(frozen=True, kw_only=True)
class LowRankPlusSparse(Factorizer):
    """The SVD's two layers beside a sparse copy of the layer, which holds the largest entries of what is left.

    Paper:   Zhou, Tao, *GoDec: Randomized Low-rank & Sparse Matrix Decomposition in Noisy Case*, ICML 2011, Eq. 2
    Formula: min ||W - L - S||^2, rank L <= r, S with k entries: in turns S = the k largest entries of W - L,
             L = the SVD of W - S at rank r
    Shapes:  those of the SVD, and one more layer in the shape of the original, `round(density * entries)` of it kept
    Cost:    two times `sweeps` SVDs
    Differs: exact SVDs where the paper takes random projections. The better of two starts is taken, S = 0 and S = the
             largest entries of W, since each has matrices on which it ends far from the best

    Entries of S that are zero stay zero in training. The sparse layer is stored and run as a dense one: counted
    parameters and multiply-accumulates are those that a sparse kernel would need.

    Attributes:
        density: kept share of the entries of S.
        sweeps: turns.

    Example:
        >>> from torch import nn
        >>> layer = nn.Linear(30, 20)
        >>> LowRankPlusSparse(density=0.1).params(layer, (2,)) - layer.bias.numel()
        160
    """

    density: float = 0.05
    sweeps: int = 5
    paper: ClassVar[Paper | None] = Paper("zhou2011")
    sparse: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.density <= 1:
            raise IncompatibleError(
                f"density must be in (0, 1], got density={self.density!r}. It is the kept share of the sparse part."
            )

        if self.sweeps < 1:
            raise IncompatibleError(f"sweeps must be 1 or more, got sweeps={self.sweeps!r}.")

    def refusal(self, module: nn.Module) -> str:
        """Linear layers and convolutions in one group."""
        return refused(module, (nn.Linear, nn.Conv2d))

    def full(self, module: nn.Module) -> Ranks:
        """The lesser dim of the matrix."""
        return (min(_matrix(module).shape),)

    def curve(self, module: nn.Module) -> Sequence[Candidate]:
        """1, 2, 3, 4, 6, 8, 12, … as far as there is something to gain, with what is lost after the first turn."""
        matrix, kept = _matrix(module), self._entries(module)
        u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
        found: list[Candidate] = []
        for rank in steps(max(1, min(*matrix.shape, matrix.numel() // sum(matrix.shape)))):
            rest = matrix - (u[:, :rank] * s[:rank]) @ vh[:rank]
            lost = lost_share(matrix, _largest(rest, kept) + matrix - rest)
            if not found or lost < found[-1].lost:
                found.append(Candidate((rank,), lost))
        return found

    def unfoldings(self, module: nn.Module) -> Sequence[Tensor]:
        """None: the rank is that of what is left without the sparse part, which depends on the rank."""
        return ()

    def factorize(self, module: nn.Module, ranks: Ranks) -> nn.Module:
        """Three layers, two in a row and one beside them."""
        checked(self, module, ranks)
        matrix, kept = _matrix(module), self._entries(module)
        nothing = torch.zeros_like(matrix)
        found = [self._turns(matrix, start, ranks[0], kept) for start in (nothing, _largest(matrix, kept))]
        first, last, sparse, places = min(found, key=lambda f: lost_share(matrix, f[1] @ f[0] + f[2]))
        low, beside = _layers(module, first, last, sparse)
        keep = torch.zeros(matrix.numel(), dtype=torch.bool).index_fill(0, places, True)
        parametrize.register_parametrization(
            beside,
            "weight",
            Held(keep.view_as(beside.weight).to(beside.weight.device)),  # type: ignore[arg-type]
        )
        return ThinPlusSparse(low, beside).train(module.training)

    def weight(self, factors: nn.Module) -> Tensor:
        """The sum."""
        assert isinstance(factors, ThinPlusSparse)
        assert isinstance(factors.low, nn.Sequential)
        first, last = (weight_of(layer).flatten(1) for layer in factors.low)
        sparse = weight_of(factors.sparse)
        return (last @ first).view_as(sparse) + sparse

    def params(self, module: nn.Module, ranks: Ranks) -> int:
        """`r (m + n)`, the kept entries of the sparse part, and the bias."""
        return ranks[0] * sum(_matrix(module).shape) + self._entries(module) + bias_size(module)

    def macs(self, module: nn.Module, ranks: Ranks, call: Call) -> int:
        """`r (m + n)` and the kept entries, at every position that is written."""
        entries = ranks[0] * sum(_matrix(module).shape) + self._entries(module)
        return entries * call.batch * prod(call.outputs)

    def _turns(self, matrix: Tensor, sparse: Tensor, rank: int, kept: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Both thin factors, the sparse part and where its entries are, from a first guess of the sparse part."""
        for _ in range(self.sweeps):
            last, first = svd_of(matrix - sparse, rank)
            rest = matrix - last @ first
            sparse = _largest(rest, kept)
        return first, last, sparse, rest.flatten().abs().topk(kept).indices

    def _entries(self, module: nn.Module) -> int:
        return max(1, round(self.density * weight_of(module).numel()))


def _matrix(module: nn.Module) -> Tensor:
    return weight_of(module).flatten(1)


def _largest(matrix: Tensor, kept: int) -> Tensor:
    """The largest entries alone."""
    flat = matrix.flatten()
    places = flat.abs().topk(kept).indices
    return torch.zeros_like(flat).index_put((places,), flat[places]).view_as(matrix)


def _layers(module: nn.Module, first: Tensor, last: Tensor, sparse: Tensor) -> tuple[nn.Module, nn.Module]:
    if isinstance(module, nn.Linear):
        return row(module, (twin(module, first, None), twin(module, last, module.bias))), twin(module, sparse, None)
    assert isinstance(module, nn.Conv2d)
    shape, settings = module.weight.shape, along(module, (0, 1))
    thin = twin(module, first.reshape(-1, *shape[1:]), None, **settings)
    low = row(module, (thin, twin(module, last[..., None, None], module.bias)))
    return low, twin(module, sparse.reshape(shape), None, **settings)
