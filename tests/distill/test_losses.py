"""Distillation losses against their formulas written out with loops, and against each other."""

from math import log

import pytest
import torch

from secateur.core.contracts import Outputs
from secateur.core.errors import IncompatibleError
from secateur.core.rng import generator
from secateur.distill import DKD, KD, RKD, AttentionTransfer, FitNets


def normal(*shape, salt=""):
    return torch.randn(*shape, generator=generator(0, "distill", salt), dtype=torch.float64)


def answers(x):
    return Outputs(x, {})


def features(x):
    return Outputs(None, {"f": x})


def softmax(row, temperature):
    powers = [2.718281828459045 ** (float(z) / temperature) for z in row]
    return [p / sum(powers) for p in powers]


def divergence(p, q):
    return sum(a * log(a / b) for a, b in zip(p, q, strict=True))


S, T = normal(6, 5, salt="s"), normal(6, 5, salt="t")
TARGET = torch.tensor([0, 1, 4, 2, 2, 3])


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_by_loops(temperature):
    wanted = sum(divergence(softmax(t, temperature), softmax(s, temperature)) for s, t in zip(S, T, strict=True)) / 6
    found = KD(temperature=temperature).loss(answers(S), answers(T), None)
    assert float(found) == pytest.approx(temperature**2 * wanted)


def test_kd_by_hand():
    """Teacher 3/4 and 1/4, student 1/2 and 1/2: 0.75 ln 1.5 - 0.25 ln 2."""
    teacher = torch.tensor([[log(3), 0.0]])
    found = KD(temperature=1.0).loss(answers(torch.zeros(1, 2)), answers(teacher), None)
    assert float(found) == pytest.approx(0.75 * log(1.5) - 0.25 * log(2))


def test_kd_has_the_gradient_of_soft_cross_entropy():
    """At temperature T the gradient is T (softmax(s / T) - softmax(t / T)) / B."""
    s = S.clone().requires_grad_()
    KD(temperature=3.0).loss(answers(s), answers(T), None).backward()
    assert torch.allclose(s.grad, 3 * ((S / 3).softmax(1) - (T / 3).softmax(1)) / 6)


def test_kd_on_maps_is_kd_on_places():
    s, t = normal(2, 5, 3, 4, salt="a"), normal(2, 5, 3, 4, salt="b")
    flat = [x.permute(0, 2, 3, 1).reshape(-1, 5) for x in (s, t)]
    assert torch.allclose(KD().loss(answers(s), answers(t), None), KD().loss(*map(answers, flat), None))


def test_dkd_is_kd_taken_apart():
    """For one example with beta = 1 - p_T(right), both are equal."""
    for s, t, target in zip(S, T, TARGET, strict=True):
        p = softmax(t, 2.0)[int(target)]
        found = DKD(beta=1 - p, temperature=2.0).loss(answers(s[None]), answers(t[None]), target[None])
        assert torch.allclose(found, KD(temperature=2.0).loss(answers(s[None]), answers(t[None]), None))


def test_dkd_by_loops():
    total = 0.0
    for s, t, target in zip(S, T, TARGET.tolist(), strict=True):
        p, q = softmax(t, 4.0), softmax(s, 4.0)
        rest = [[x / (1 - z[target]) for k, x in enumerate(z) if k != target] for z in (p, q)]
        total += divergence([p[target], 1 - p[target]], [q[target], 1 - q[target]]) + 8 * divergence(*rest)
    assert float(DKD().loss(answers(S), answers(T), TARGET)) == pytest.approx(16 * total / 6)


def test_dkd_wants_class_numbers():
    with pytest.raises(IncompatibleError, match="class numbers"):
        DKD().loss(answers(S), answers(T), T.softmax(1))


def test_attention_by_loops():
    s, t = normal(3, 2, 2, 2, salt="s"), normal(3, 4, 2, 2, salt="t")
    total = 0.0
    for i in range(3):
        maps = []
        for x in (s, t):
            q = [sum(float(x[i, c, y, z]) ** 2 for c in range(x.shape[1])) for y in range(2) for z in range(2)]
            maps.append([v / sum(w * w for w in q) ** 0.5 for v in q])
        total += sum((a - b) ** 2 for a, b in zip(*maps, strict=True)) ** 0.5
    assert float(AttentionTransfer(layers=("f",)).loss(features(s), features(t), None)) == pytest.approx(total / 3)


def test_rkd_by_loops():
    def apart(x):
        return [[sum(float(a - b) ** 2 for a, b in zip(p, q, strict=True)) ** 0.5 for q in x] for p in x]

    def huber(d):
        return d * d / 2 if abs(d) < 1 else abs(d) - 0.5

    def cosine(x, i, j, k):
        a, b = x[i] - x[j], x[k] - x[j]
        lengths = float(a.norm() * b.norm())
        return float(a @ b) / lengths if lengths else 0.0

    s, t = apart(S), apart(T)
    means = [sum(map(sum, d)) / 30 for d in (s, t)]
    distance = sum(huber(s[i][j] / means[0] - t[i][j] / means[1]) for i in range(6) for j in range(6)) / 36
    every = [(i, j, k) for i in range(6) for j in range(6) for k in range(6)]
    angle = sum(huber(cosine(S, *ijk) - cosine(T, *ijk)) for ijk in every) / 216
    assert float(RKD(angle=0).loss(answers(S), answers(T), None)) == pytest.approx(distance)
    assert float(RKD(distance=0, angle=1).loss(answers(S), answers(T), None)) == pytest.approx(angle)
    assert float(RKD().loss(answers(S), answers(T), None)) == pytest.approx(distance + 2 * angle)


def test_rkd_does_not_see_turns_and_sizes():
    turn = torch.linalg.qr(normal(5, 5))[0]
    assert float(RKD().loss(answers(3 * T @ turn + 1), answers(T), None)) < 1e-12


def test_fitnets_of_equal_widths_is_plain():
    s, t = normal(2, 3, 4, 4, salt="s"), normal(2, 3, 4, 4, salt="t")
    assert torch.allclose(FitNets(layers=("f",)).loss(features(s), features(t), None), ((s - t) ** 2).mean() / 2)


def test_fitnets_map_is_the_best():
    """Against least squares of numpy's kind; a dead channel does no harm; the gradient is that of the minimum."""
    s, t = normal(4, 3, 5, 5, salt="s"), normal(4, 6, 5, 5, salt="t")
    s[:, 1] = 0
    flat, hint = (x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]) for x in (s, t))
    best = torch.linalg.lstsq(flat[:, [0, 2]], hint).solution
    wanted = ((hint - flat[:, [0, 2]] @ best) ** 2).mean() / 2
    assert torch.allclose(FitNets(layers=("f",)).loss(features(s), features(t), None), wanted)
    alive = normal(4, 3, 3, 2, salt="s").requires_grad_()
    hint = normal(4, 4, 3, 2, salt="t")
    assert torch.autograd.gradcheck(lambda x: FitNets(layers=("f",)).loss(features(x), features(hint), None), [alive])


def test_fitnets_refuses_what_any_map_fits():
    with pytest.raises(IncompatibleError, match="larger batches"):
        FitNets(layers=("f",)).loss(features(normal(4, 5)), features(normal(4, 6)), None)


@pytest.mark.parametrize("make", [lambda: KD(temperature=0), FitNets, AttentionTransfer, lambda: RKD(distance=0, angle=0),
                                  lambda: DKD(beta=-1)])  # fmt: skip
def test_settings_are_checked(make):
    with pytest.raises(IncompatibleError):
        make()
