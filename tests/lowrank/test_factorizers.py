"""Factorizers against numbers by hand, plain loops and libraries that they do not use."""

import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from secateur.core.errors import UnsupportedError
from secateur.core.rng import generator
from secateur.lowrank import CP, SVD, TT, LowRankPlusSparse, Spatial, Tucker2


def normal(*shape, salt=""):
    return torch.randn(*shape, generator=generator(0, "factorizers", salt), dtype=torch.float64)


def conv(weight, **settings):
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], tuple(weight.shape[2:]), **settings).double()
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer


def linear(weight):
    layer = nn.Linear(weight.shape[1], weight.shape[0]).double()
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer


def lost(one, layer, ranks):
    return float((layer.weight.detach() - one.weight(one.factorize(layer, ranks))).square().sum())


def test_svd_by_hand():
    """diag(3, 4, 0): the best of rank one keeps the 4 and loses 9 of 25."""
    layer = linear(torch.diag(torch.tensor([3.0, 4.0, 0.0])))
    assert torch.allclose(
        SVD().weight(SVD().factorize(layer, (1,))), torch.diag(torch.tensor([0.0, 4.0, 0.0])).double()
    )
    assert [round(c.lost, 12) for c in SVD().curve(layer)] == [9 / 25, 0, 0]


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_svd_loses_the_tail(rank):
    """Against numpy's singular values."""
    layer = conv(normal(7, 4, 3, 3))
    tail = np.linalg.svd(layer.weight.detach().numpy().reshape(7, -1), compute_uv=False)[rank:]
    assert lost(SVD(), layer, (rank,)) == pytest.approx(float((tail**2).sum()), abs=1e-12)


def test_spatial_finds_separable_filters():
    """A kernel that is the sum of two separable ones is exact at rank two, and loses the lesser at rank one."""
    rng = normal(4, 2, 5)
    vertical, horizontal = torch.linalg.qr(normal(12, 2))[0], torch.linalg.qr(normal(15, 2, salt="b"))[0]
    weight = sum(
        s * torch.einsum("sy,tx->tsyx", vertical[:, k].view(4, 3), horizontal[:, k].view(5, 3))
        for k, s in enumerate((3.0, 2.0))
    )
    layer = conv(weight)
    assert rng.shape == (4, 2, 5)
    assert lost(Spatial(), layer, (2,)) < 1e-24
    assert lost(Spatial(), layer, (1,)) == pytest.approx(4.0)


def test_cp_recovers_components():
    """Three components drawn at random are found again."""
    factors = [normal(size, 3, salt=str(size)) for size in (6, 5, 4, 3)]
    layer = conv(torch.einsum("tk,sk,yk,xk->tsyx", *factors))
    assert lost(CP(sweeps=500), layer, (3,)) < 1e-10 * float(layer.weight.detach().square().sum())


def test_cp_of_rank_one_is_best():
    """Rank one against power iteration from many starts."""
    weight = normal(4, 3, 3, 2)
    best = 0.0
    for start in range(20):
        a, b, c, d = (normal(n, salt=f"{start}{n}{i}") for i, n in enumerate(weight.shape))
        for _ in range(200):
            a = torch.einsum("tsyx,s,y,x->t", weight, b, c, d)
            a = a / a.norm()
            b = torch.einsum("tsyx,t,y,x->s", weight, a, c, d)
            b = b / b.norm()
            c = torch.einsum("tsyx,t,s,x->y", weight, a, b, d)
            c = c / c.norm()
            d = torch.einsum("tsyx,t,s,y->x", weight, a, b, c)
            value, d = d.norm(), d / d.norm()
        best = max(best, float(value) ** 2)
    found = float(weight.square().sum()) - lost(CP(sweeps=300), conv(weight), (1,))
    assert 0.95 * best <= found <= best * (1 + 1e-9)


def test_tucker_recovers_ranks():
    """A kernel of multilinear ranks 2 and 3 is exact there and not below."""
    weight = torch.einsum("sa,bayx,tb->tsyx", normal(6, 2), normal(3, 2, 3, 3, salt="c"), normal(7, 3, salt="t"))
    layer = conv(weight)
    assert lost(Tucker2(), layer, (2, 3)) < 1e-20
    assert lost(Tucker2(), layer, (2, 2)) > 1e-3
    assert lost(Tucker2(), layer, (1, 3)) > 1e-3


def test_tucker_curve_is_the_higher_order_svd():
    """What the curve says is what projection on leading singular vectors, written out, loses."""
    layer = conv(normal(5, 6, 3, 3))
    weight = layer.weight.detach()
    for candidate in Tucker2().curve(layer):
        a, b = candidate.ranks
        s = np.linalg.svd(weight.permute(1, 0, 2, 3).reshape(6, -1).numpy())[0][:, :a]
        t = np.linalg.svd(weight.reshape(5, -1).numpy())[0][:, :b]
        near = np.einsum("tsyx,sa,pa,tb,qb->qpyx", weight.numpy(), s, s, t, t)
        share = ((weight.numpy() - near) ** 2).sum() / (weight.numpy() ** 2).sum()
        assert candidate.lost == pytest.approx(share, abs=1e-10)


def test_tt_entries_are_products_of_matrices():
    """Every entry of the weight, multiplied out digit by digit."""
    layer = linear(normal(6, 8))
    one = TT(ways=3)
    module = one.factorize(layer, one.full(layer))
    weight = one.weight(module)
    cores = [c.detach() for c in module.cores]
    sizes = [(c.shape[1], c.shape[2]) for c in cores]
    for i in range(6):
        for j in range(8):
            row, column, digits = i, j, []
            for m, n in reversed(sizes):
                digits.append((row % m, column % n))
                row, column = row // m, column // n
            product = torch.eye(1, dtype=torch.float64)
            for core, (a, b) in zip(cores, reversed(digits), strict=True):
                product = product @ core[:, a, b]
            assert float(product) == pytest.approx(float(layer.weight.detach()[i, j]), abs=1e-12)
            assert float(weight[i, j]) == pytest.approx(float(product), abs=1e-12)


def test_tt_of_a_kronecker_product_has_rank_one():
    layer = linear(torch.kron(normal(3, 2), torch.kron(normal(2, 2, salt="b"), normal(2, 3, salt="c"))))
    one = TT(ways=3)
    assert [tuple(c.shape[1:3]) for c in one.factorize(layer, (1, 1)).cores] == [(3, 2), (2, 2), (2, 3)]
    assert lost(one, layer, (1, 1)) < 1e-20


def test_sparse_part_finds_spikes():
    """A matrix of rank two with five large entries added: both are found, and training keeps the rest at zero."""
    low = normal(20, 2) @ normal(2, 30, salt="b")
    spikes = torch.zeros(600, dtype=torch.float64)
    spikes[torch.tensor([3, 77, 200, 411, 599])] = torch.tensor([40.0, -35, 50, 45, -60]).double()
    layer = linear(low + spikes.view(20, 30))
    one = LowRankPlusSparse(density=5 / 600, sweeps=20)
    assert lost(one, layer, (2,)) < 1e-6
    factors = one.factorize(layer, (2,))
    assert torch.equal(factors.sparse.weight != 0, spikes.view(20, 30) != 0)
    optimizer = torch.optim.SGD(factors.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        optimizer.zero_grad()
        factors(normal(4, 30)).square().mean().backward()
        optimizer.step()
    assert int(factors.sparse.weight.count_nonzero()) == 5


def test_factors_against_a_plain_convolution():
    """The composed kernel in `torch.nn.functional`, with everything set."""
    settings = {"stride": (2, 1), "padding": (1, 2), "dilation": (2, 1)}
    layer = conv(normal(5, 4, 3, 3), **settings)
    x = normal(2, 4, 12, 11, salt="x")
    for one in (SVD(), Spatial(), CP(), Tucker2()):
        factors = one.factorize(layer, tuple(max(1, r // 3) for r in one.full(layer)))
        wanted = conv2d(x, one.weight(factors), layer.bias, **settings)
        assert torch.allclose(factors(x), wanted, atol=1e-10)


@pytest.mark.parametrize("one", [CP(), Tucker2(), TT()], ids=repr)
def test_without_tensorly(one, monkeypatch):
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, "tensorly", None)
    layer = linear(normal(6, 8)) if isinstance(one, TT) else conv(normal(4, 3, 3, 3))
    with pytest.raises(UnsupportedError, match=r"secateur\[lowrank\]"):
        one.factorize(layer, (1,) * len(one.full(layer)))


def test_backend_of_the_user_stays():
    import tensorly

    before = tensorly.get_backend()
    tensorly.set_backend("pytorch")
    try:
        Tucker2().factorize(conv(normal(4, 3, 3, 3)), (2, 2))
        assert tensorly.get_backend() == "pytorch"
    finally:
        tensorly.set_backend(before)
