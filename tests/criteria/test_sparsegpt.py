import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import _layers as o
from benchmarks.criteria.oracles import sparsegpt as oracle
from secateur.core.budget import Budget
from secateur.core.errors import IncompatibleError
from secateur.criteria import SparseGPT
from secateur.evidence import collect
from secateur.granularity import NM, Weight
from secateur.graph.trace import trace
from secateur.planning import plan, score


def test_keeps_what_the_plain_sweep_keeps():
    assert oracle.error() == 0


def test_a_plan_with_the_same_share_takes_exactly_that():
    """Through scoring and planning, for a width at which blocks do not come out even."""
    model, data = o.convolutions(), o.batches(6)
    graph, evidence = o.evidence_of(model, data, SparseGPT.needs)
    for keep in (0.5, 0.3, 0.77):
        how = SparseGPT(keep=keep, block=7)
        made = plan(graph, score(graph, how, evidence, granularity=Weight()), Budget(keep, of="units"))
        for name, kept in made.kept.items():
            tiers = how.saliency(name, evidence).flatten() >= 1
            assert int(tiers.sum()) == int(keep * len(tiers) + 1e-9)
            extra = int(kept.sum()) - int(tiers.sum())  # what is left of the budget goes where most was rounded off
            assert 0 <= extra <= 1 and bool(kept[tiers].all())


def test_differs_from_choosing_at_once():
    """Later blocks are chosen on weights that have moved; otherwise the criterion would be OBS with a factor."""
    model, data = o.convolutions(), o.batches(6)
    found = o.saliencies(SparseGPT(block=12), model, data, ["5.weight"])["5.weight"] >= 1
    at_once = o.saliencies(SparseGPT(block=72), model, data, ["5.weight"])["5.weight"] >= 1
    assert (found != at_once).any()


def test_patterns_hold():
    model, data = o.convolutions(), o.batches()
    found = o.saliencies(SparseGPT(n=2, m=4), model, data, ["5.weight"])["5.weight"] >= 1
    assert (found.reshape(-1, 4).sum(1) == 2).all()
    with pytest.raises(IncompatibleError, match=r"'0.weight' have 18 entries, which do not divide by 4"):
        o.saliencies(SparseGPT(n=2, m=4), model, data, ["0.weight"])


def test_wrong_fields():
    for wrong in ({"keep": 1.5}, {"block": 0}, {"n": 4, "m": 2}, {"damping": float("nan")}):
        with pytest.raises(IncompatibleError):
            SparseGPT(**wrong)


def test_zeros_and_dead_inputs():
    model = nn.Sequential(nn.Linear(4, 3)).double()
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 2] = 0
    found = SparseGPT().saliency("0.weight", collect(model, [(x, None)], SparseGPT.needs, graph=trace(model, x)))
    assert not found[:, 2].any()


def test_two_of_four_through_a_plan():
    """With the pattern in criterion and granularity alike a plan keeps the paper's choice, bit by bit."""
    model, data = o.convolutions(), o.batches(6)
    graph, evidence = o.evidence_of(model, data, SparseGPT.needs)
    how, unit = SparseGPT(n=2, m=4), NM(n=2, m=4)
    made = plan(graph, score(graph, how, evidence, granularity=unit), Budget(1.0, of="weights"))
    assert set(made.kept) == {"2.weight", "5.weight"}  # rows of 18 entries do not divide by 4
    for name, kept in made.kept.items():
        assert torch.equal(kept, how.saliency(name, evidence).flatten() >= 1)
