import builtins

import numpy as np
import pytest
import torch

from benchmarks.criteria.oracles import lasso as oracle
from secateur.core.errors import UnsupportedError
from secateur.criteria import Lasso
from secateur.criteria.base import contributions
from secateur.criteria.lasso import _entries
from secateur.testing import case as cases


def test_agrees_with_its_oracle():
    assert oracle.error() < 1e-9


@pytest.mark.parametrize("seed", [64, 362])
def test_channels_that_leave_again(seed):
    """Columns with much in common, of which one comes in, leaves while the penalty falls on, and may come again."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(40, 5)) @ (np.eye(5) + 0.6 * rng.normal(size=(5, 5))) * rng.uniform(0.3, 3, 5) / 40**0.5
    beta, inside = np.zeros(5), []
    for penalty in np.abs(z.T @ z.sum(1)).max() * np.geomspace(1, 1e-3, 60):
        beta = oracle.descend(z, z.sum(1), penalty, beta)
        inside.append(np.abs(beta) > 1e-9)
    assert (np.array(inside[:-1]) & ~np.array(inside[1:])).any()
    wanted = oracle.entries(z)
    assert np.abs(_entries(torch.from_numpy(z.T @ z)).numpy() - wanted).max() < 1e-9 * wanted.max()


def test_orthogonal_columns_by_hand():
    """b_c = 1 - l / |Z_c|^2, so channels come in at their own squared norms; relative to the mean of 1, 4 and 10."""
    assert _entries(torch.diag(torch.tensor([1.0, 10.0, 4.0]).double())).tolist() == pytest.approx([0.2, 2.0, 0.8])


@pytest.mark.parametrize("order", [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], ids=str)
def test_equal_channels_come_in_together(order):
    """Three copies of one channel, and another: the penalties of a design of two, one of them three times as large."""
    z = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = _entries(z[:, order].T @ z[:, order] / 50)
    copies = oracle.descend
    pair = z.numpy() / 50**0.5
    target = pair @ [3.0, 1.0]
    top = np.abs(pair.T @ target)
    assert top[0] > top[1]
    # Until the other comes in, the copies' coefficients add up to b with |z_0|^2 (target . z_0 / |z_0|^2 - b) = l.
    low, high = 0.0, float(top[0])
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if abs(copies(pair, target, middle, np.zeros(2))[1]) > 1e-11 else (low, middle)
    scale = float((z[:, order] ** 2).sum(0).mean() / 50)
    wanted = [top[0] / scale if column == 0 else low / scale for column in order]
    assert found.tolist() == pytest.approx(wanted, rel=1e-5)


def test_channels_that_follow_from_others():
    """The third is the sum of the first two; nothing is lost, nothing is infinite."""
    z = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    z[:, 2] = z[:, 0] + z[:, 1]
    found = _entries(z.T @ z / 50)
    assert bool(torch.isfinite(found).all()) and int(found.argmax()) == 2


def test_silent_channels_score_zero():
    subject = cases.silenced(cases.normed(), cases.normed().first(), 2)
    found = Lasso().score(subject.first(), subject.evidence(Lasso.needs))
    assert float(found[2]) == 0
    assert float(found[[0, 1, 3, 4, 5]].min()) > 0


def test_the_channels_that_the_paper_would_choose():
    """For every number of channels, the support at the smallest penalty that leaves so many, by coordinate descent."""
    subject = cases.normed()
    group = subject.first()
    evidence = subject.evidence(Lasso.needs)
    scores = Lasso().score(group, evidence)
    z = oracle.design(subject, group)
    unit = float(contributions(group, evidence).diagonal().mean())
    for count in range(1, group.units):
        ranked = scores.sort(descending=True)
        penalty = unit * float(ranked.values[count - 1] + ranked.values[count]) / 2
        support = np.abs(oracle.descend(z, z.sum(1), penalty, np.zeros(group.units))) > 1e-9
        assert set(np.flatnonzero(support)) == set(ranked.indices[:count].tolist())


def test_without_scikit_learn(monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    subject = cases.normed()
    evidence = subject.evidence(Lasso.needs)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UnsupportedError, match=r"secateur\[recon\].*thinet"):
        Lasso().score(subject.first(), evidence)
