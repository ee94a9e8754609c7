"""Variational Bayes in closed form, against numerical minimisation of the free energy and known ranks."""

from math import log, pi, sqrt

import pytest
import torch

from secateur.core.rng import generator
from secateur.lowrank import vbmf


def normal(*shape, salt=""):
    return torch.randn(*shape, generator=generator(0, "vbmf", salt), dtype=torch.float64)


def noisy(rows, columns, rank, noise, salt=""):
    return normal(rows, rank, salt=salt) @ normal(rank, columns, salt=salt + "b") + noise * normal(
        rows, columns, salt=salt + "n"
    )


@pytest.mark.parametrize("rank", [1, 4, 9])
@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (30, 200)])
def test_known_rank(rank, shape):
    found = vbmf(noisy(*shape, rank, 0.3, salt=f"{rank}{shape}"))
    assert found.rank == rank
    assert found.variance == pytest.approx(0.09, rel=0.15)


def test_noise_alone_has_no_rank():
    assert vbmf(normal(50, 80)).rank == 0


def test_no_noise():
    assert vbmf(normal(30, 5) @ normal(5, 40, salt="b")).rank == 5
    assert vbmf(torch.zeros(4, 6)).rank == 0


def component(g, short, long, v, sweeps=4000):
    """The least free energy of one component relative to leaving it out, and what is left of g.

    Both factors are normal with means a, b along singular vectors and variances A, B per entry; priors C, D per entry.
    Each line of the loop minimises the free energy over one variable; descent from several starts.
    """
    best, left = 0.0, 0.0
    for start in (0.5, 0.99):
        a = b = sqrt(start * g)
        A = B = 0.01
        C, D = a * a / long, b * b / short
        for _ in range(sweeps):
            A = 1 / (1 / C + (b * b + short * B) / v)
            a = A * b * g / v
            B = 1 / (1 / D + (a * a + long * A) / v)
            b = B * a * g / v
            C, D = (a * a + long * A) / long, (b * b + short * B) / short
        value = 0.5 * (
            long * log(C / A) + short * log(D / B) - (short + long) + (a * a + long * A) / C + (b * b + short * B) / D
            + (-2 * a * b * g + (a * a + long * A) * (b * b + short * B)) / v
        )  # fmt: skip
        if value < best:
            best, left = value, a * b
    return best, left


def test_components_minimise_the_free_energy():
    """At a given variance, what is kept and what is left of it is what numerical minimisation finds."""
    short, long, v = 12, 20, 1.0
    matrix = noisy(short, long, 3, 1.0)
    values = torch.linalg.svdvals(matrix)
    found = vbmf(matrix, variance=v)
    numeric = [component(float(g), short, long, v) for g in values]
    kept = [left for energy, left in numeric if energy < -1e-6]
    assert 0 < len(kept) < len(values)
    assert found.rank == len(kept)
    assert found.values.tolist() == pytest.approx(kept, rel=1e-5)


def test_variance_minimises_the_free_energy():
    """The variance against a scan of the whole free energy, with components minimised numerically."""
    short, long = 6, 10
    matrix = noisy(short, long, 2, 0.5)
    values = torch.linalg.svdvals(matrix).tolist()

    def energy(v):
        return 0.5 * (short * long * log(2 * pi * v) + sum(g * g for g in values) / v) + sum(
            component(g, short, long, v)[0] for g in values
        )

    found = vbmf(matrix).variance
    at = energy(found)
    assert all(at < energy(found * factor) for factor in (0.5, 0.8, 0.95, 1.05, 1.25, 2.0))
