"""Soft weight sharing: a mixture of Gaussians, learned with the weights, pulls them into a few clumps, one at zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, pi

import torch
from torch import Tensor, nn

from secateur.core.contracts import Quantizer
from secateur.core.errors import IncompatibleError
from secateur.core.quantized import Quantized
from secateur.quantizers.base import stays


class Mixture(nn.Module):
    """What weights should look like, as a prior whose clumps move with them.

    Nowlan and Hinton, *Simplifying Neural Networks by Soft Weight-Sharing*, Neural Computation 1992; for compression
    Ullrich et al., *Soft Weight-Sharing for Neural Network Compression*, ICLR 2017. Train it beside the
    network: give an optimiser the parameters of both and add `strength * mixture.penalty(model)` to the loss. Then
    `quantize(model, mixture.quantizer(), only=mixture.names)` puts every weight on the mean of its likeliest clump.

    Formula: penalty = - sum over weights w of log sum_k p_k N(w; m_k, s_k^2), m_0 = 0 and p_0 fixed
    Cost:    O(components) for each weight and step
    Differs: no hyper-priors on p and s; instead no s falls below `narrowest`

    Attributes:
        means: of all clumps but the first.
        log_stds: of all clumps.
        logits: of the shares of all clumps but the first.
        names: of the parameters that it is about.
    """

    def __init__(
        self,
        model: nn.Module,
        names: Sequence[str],
        *,
        components: int = 16,
        zero_share: float = 0.9,
        narrowest: float = 1e-3,
    ) -> None:
        super().__init__()
        if components < 1 or not 0 < zero_share < 1 or narrowest <= 0:
            raise IncompatibleError(
                f"a mixture has 1 or more components beside the one at zero, a zero_share in (0, 1) and a narrowest "
                f"above 0, got {components=}, {zero_share=}, {narrowest=}."
            )
        self.names = tuple(names)
        values = self._values(model).detach()
        low, high = (float(x) for x in values.aminmax())
        step = (high - low) / max(1, components) or 1.0
        self.means = nn.Parameter(torch.linspace(low, high, components).to(values))
        self.log_stds = nn.Parameter(torch.full((components + 1,), log(step / 2)).to(values))
        self.logits = nn.Parameter(torch.zeros(components).to(values))
        self.zero_share, self.narrowest = zero_share, narrowest

    def penalty(self, model: nn.Module) -> Tensor:
        """Negative log-likelihood of the weights, differentiable in them and in the mixture."""
        return -torch.logsumexp(self.joint(self._values(model)), 1).sum()

    def joint(self, values: Tensor) -> Tensor:
        """Log-density of each clump and value together, `(values, components + 1)`."""
        means, stds, shares = self._clumps()
        z = (values[:, None] - means) / stds
        return shares - 0.5 * z.square() - stds.log() - 0.5 * log(2 * pi)

    def quantizer(self) -> Clumps:
        """The mixture as it is now, as a quantizer."""
        means, stds, shares = (tuple(x.detach().tolist()) for x in self._clumps())
        return Clumps(means=means, stds=stds, log_shares=shares)

    def _clumps(self) -> tuple[Tensor, Tensor, Tensor]:
        shares = torch.log_softmax(self.logits, 0) + log(1 - self.zero_share)
        zero = self.means.new_zeros(1)
        stds = self.log_stds.exp().clamp(min=self.narrowest)
        return torch.cat([zero, self.means]), stds, torch.cat([zero + log(self.zero_share), shares])

    def _values(self, model: nn.Module) -> Tensor:
        found = []
        for name in self.names:
            owner, _, leaf = name.rpartition(".")
            found.append(getattr(model.get_submodule(owner), leaf).flatten())
        return torch.cat(found)


@dataclass(frozen=True, kw_only=True)
class Clumps(Quantizer):
    """Every weight on the mean of the clump that it most likely belongs to; zeros stay zero.

    Attributes:
        means: of the clumps, 0 first.
        stds: of the clumps.
        log_shares: logarithms of their shares.
    """

    means: tuple[float, ...]
    stds: tuple[float, ...]
    log_shares: tuple[float, ...]

    def quantize(self, weight: Tensor, *, keep: Tensor | None = None) -> Quantized:
        """Codes by clump."""
        kept = stays(weight, keep)
        means, stds, shares = (torch.tensor(x, dtype=torch.float64) for x in (self.means, self.stds, self.log_shares))
        joint = shares - 0.5 * ((weight.detach().double().cpu()[..., None] - means) / stds).square() - stds.log()
        codes = torch.where(kept.cpu(), joint.argmax(-1), 0)
        return Quantized(codes=codes.to(weight.device, torch.int32), levels=means.float().to(weight.device))
