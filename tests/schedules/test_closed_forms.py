from itertools import pairwise

import pytest

from secateur.core.errors import IncompatibleError
from secateur.schedules import Cubic, Exponential, Geometric, OneShot


@pytest.mark.parametrize(
    ("t", "final", "wanted"),
    [(0, 0.2, 1.0), (0.5, 0.2, 0.2 + 0.8 / 8), (0.75, 0.2, 0.2 + 0.8 / 64), (1, 0.2, 0.2), (0.5, 0.0, 0.125)],
)
def test_cubic(t, final, wanted):
    assert Cubic().keep(t, final) == pytest.approx(wanted, rel=1e-15)


def test_cubic_is_the_papers_equation():
    """Zhu and Gupta, Eq. 1 with s_i = 0, t_0 = 0, n dt = 1: s_t = s_f + (0 - s_f)(1 - t)^3."""
    for t in (0.0, 0.2, 0.9):
        assert 1 - Cubic().keep(t, 0.1) == pytest.approx(0.9 + (0 - 0.9) * (1 - t) ** 3, abs=1e-15)


@pytest.mark.parametrize(
    ("t", "final", "wanted"),
    [(0, 0.25, 1.0), (0.5, 0.25, 0.5), (1 / 3, 0.125, 0.5), (2 / 3, 0.125, 0.25), (1, 0.1, 0.1)],
)
def test_geometric(t, final, wanted):
    assert Geometric().keep(t, final) == pytest.approx(wanted, rel=1e-15)
    assert Exponential().keep(t, final) == pytest.approx(wanted, rel=1e-15)


def test_only_exponential_rounds_follow_each_other_untrained():
    assert [one.trains for one in (Cubic(), Geometric(), OneShot(), Exponential())] == [True, True, True, False]


def test_geometric_removes_the_same_share_each_round():
    course = [Geometric().keep(n / 5, 0.2) for n in range(6)]
    shares = [b / a for a, b in pairwise(course)]
    assert shares == pytest.approx([0.2**0.2] * 5)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_one_shot(t):
    assert OneShot().keep(t, 0.4) == 0.4


def test_rounds():
    assert (OneShot().rounds, Cubic(steps=7).rounds, Geometric(steps=2).rounds) == (1, 7, 2)


@pytest.mark.parametrize("kind", [Cubic, Geometric])
@pytest.mark.parametrize("steps", [0, -1])
def test_no_rounds_are_refused(kind, steps):
    with pytest.raises(IncompatibleError, match=f"steps={steps}"):
        kind(steps=steps)
