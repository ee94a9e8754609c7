import pytest
import torch

from benchmarks.criteria.oracles import grasp as oracle
from secateur.core.budget import Budget
from secateur.criteria import GraSP
from secateur.evidence import HessianGradient, collect
from secateur.granularity import Weight
from secateur.planning import plan, score
from secateur.testing import case as cases
from secateur.testing.models import TINY
from secateur.testing.system import prepare, squared


def test_against_the_whole_hessian():
    assert oracle.error() < 1e-12


def test_what_stays_keeps_the_gradient_strong():
    """Making a weight a little smaller moves |g|^2 by -2 s: high scores are those whose loss would weaken it."""
    case = cases.plain()
    found = score(case.graph, GraSP(), case.evidence(GraSP.needs), granularity=Weight()).values
    loss, flat = oracle.loss_of(case)
    start, step = 0, 1e-6

    def force(w):
        w = w.clone().requires_grad_()
        return float(torch.autograd.grad(loss(w), w)[0].square().sum())

    for name, p in case.model.named_parameters():
        if name in found:
            for entry in range(0, p.numel(), 5):
                less, more = flat.clone(), flat.clone()
                less[start + entry] *= 1 - step
                more[start + entry] *= 1 + step
                slope = (force(more) - force(less)) / (2 * step)  # of |g|^2 along w
                assert float(found[name][entry]) == pytest.approx(slope / 2, rel=1e-5, abs=1e-12)
        start += p.numel()


def test_high_scores_stay():
    case = cases.plain()
    found = score(case.graph, GraSP(), case.evidence(GraSP.needs), granularity=Weight())
    made = plan(case.graph, found, Budget(0.5, "units"))
    for name, keep in made.kept.items():
        values = found.values[name]
        assert float(values[keep].min()) >= float(values[~keep].max())
    assert any(bool((values < 0).any()) for values in found.values.values())


def test_batches_do_not_matter():
    case = cases.plain()
    x, y = torch.cat([x for x, _ in case.batches]), torch.cat([y for _, y in case.batches])
    whole = collect(case.model, [(x, y)], [HessianGradient], graph=case.graph)[HessianGradient]
    parts = collect(case.model, [(x[:5], y[:5]), (x[5:], y[5:])], [HessianGradient], graph=case.graph)[HessianGradient]
    for name, values in whole.items():
        assert torch.allclose(parts[name], values, rtol=1e-10, atol=1e-18)


def test_fused_attention_is_differentiated_twice():
    prepared = prepare(TINY["fused_attention"])
    found = collect(prepared.model, prepared.batches, [HessianGradient], graph=prepared.graph, loss=squared)
    assert any(float(v.abs().max()) > 0 for v in found[HessianGradient].values())
