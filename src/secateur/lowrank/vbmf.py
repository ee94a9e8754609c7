"""How many components of a noisy matrix are more than noise: the global solution of variational Bayes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log, sqrt

import torch
from torch import Tensor

from secateur.core.paper import Paper

PAPER = Paper("nakajima2013")
_GOLDEN = (sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True, eq=False)
class Bayesian:
    """The solution.

    Attributes:
        values: what is left of the singular values that are more than noise, descending; as many as the rank.
        variance: of the noise.
    """

    values: Tensor
    variance: float

    @property
    def rank(self) -> int:
        """Components that are more than noise; may be 0."""
        return len(self.values)


def vbmf(matrix: Tensor, variance: float | None = None) -> Bayesian:
    """Fully observed variational Bayesian matrix factorization with empirical priors, solved in closed form.

    Paper:   Nakajima, Sugiyama, Babacan, Tomioka, *Global Analytic Solution of Fully-observed Variational Bayesian
             Matrix Factorization*, JMLR 14, 2013, Theorems 2 and 3
    Formula: Y (L x M, L <= M) = A B^T + noise, a = L / M; kept are singular values g with
             g^2 > M v (1 + t)(1 + a / t), where F(t) + F(t / a) = 0, F(z) = log(z + 1) / z - 1/2; of them is left
             g / 2 (1 - (L + M) v / g^2 + sqrt((1 - (L + M) v / g^2)^2 - 4 L M v^2 / g^4)). The variance v minimises
             the free energy, a function of one variable
    Cost:    one SVD
    Differs: t is the root itself, where codes in circulation take 2.5129 sqrt(a) for it

    Args:
        matrix: two dims, any order; calculated in float64.
        variance: of the noise, if it is known.

    Returns:
        The components that are more than noise, and the variance.

    Example:
        >>> from secateur.core.rng import generator
        >>> rng = generator(0)
        >>> signal = torch.randn(40, 3, generator=rng) @ torch.randn(3, 60, generator=rng)
        >>> vbmf(signal + 0.1 * torch.randn(40, 60, generator=rng)).rank
        3
    """
    short, long = sorted(matrix.shape)
    values = torch.linalg.svdvals(matrix.detach().to("cpu", torch.float64))
    if not bool(values.any()):
        return Bayesian(values[:0], 0.0)
    share = short / long
    root = _root(share)
    least = (1 + root) * (1 + share / root)  # of g^2 / (M v), from which on a component is kept
    if variance is None:
        variance = _variance(values, short, long, least)
    kept = values[values.square() > long * variance * least]
    rest = 1 - (short + long) * variance / kept.square()
    left = kept / 2 * (rest + (rest.square() - 4 * short * long * variance**2 / kept.pow(4)).sqrt())
    return Bayesian(left, variance)


def _variance(values: Tensor, short: int, long: int, least: float) -> float:
    """The variance with the least free energy."""
    share, squares = short / long, values.square()
    most_kept = min(ceil(short / (1 + share)) - 1, len(values) - 1)
    upper = float(squares.sum()) / (short * long)
    lower = max(float(squares[most_kept]) / (long * least), float(squares[most_kept:].mean()) / long)
    lower = max(min(lower, upper), upper * 1e-12)  # a matrix of low rank without noise

    def energy(at: float) -> float:
        x = squares / (long * at)
        signal, noise = x[x > least], x[x <= least].clamp_min(torch.finfo(x.dtype).tiny)
        t = _tau(signal, share)
        total = (noise - noise.log()).sum() + (signal - t).sum() + ((t + 1) / signal).log().sum()
        return float(total + share * (t / share + 1).log().sum()) + (short - len(values)) * log(at)

    return _least(energy, lower, upper)


def _tau(x: Tensor, share: float) -> Tensor:
    middle = x - (1 + share)
    return (middle + (middle.square() - 4 * share).sqrt()) / 2


def _root(share: float) -> float:
    """The zero of F(t) + F(t / a), by bisection; F falls."""

    def gap(t: float) -> float:
        return log(t + 1) / t + log(t / share + 1) / (t / share) - 1

    low, high = 1e-9, 10.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if gap(middle) > 0 else (low, middle)
    return high


def _least(function: Callable[[float], float], lower: float, upper: float) -> float:
    """Where a function of one positive variable is least: the best of a grid, then golden section around it."""
    grid = torch.logspace(log(lower), log(upper), 400, base=2.718281828459045, dtype=torch.float64)
    points: list[float] = grid.tolist()
    best = min(range(len(points)), key=lambda k: function(points[k]))
    a, b = points[max(0, best - 1)], points[min(len(points) - 1, best + 1)]
    for _ in range(100):
        first, second = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
        a, b = (a, second) if function(first) < function(second) else (first, b)
    return (a + b) / 2
