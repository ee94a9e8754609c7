import heapq
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import _layers as o
from benchmarks.criteria.oracles import exact_obs as oracle
from secateur.core.budget import Budget
from secateur.core.errors import IncompatibleError
from secateur.criteria import OBS, ExactOBS
from secateur.criteria import exact_obs as module
from secateur.evidence import collect
from secateur.granularity import NM, Block
from secateur.graph.trace import trace
from secateur.planning import plan, score


@pytest.fixture(scope="module")
def layer():
    """Five rows of twelve entries that are far from independent, their damped moments, and evidence."""
    mixing = o.numbers(12, 12, seed=1) + 2
    x = o.numbers(40, 12, seed=2) @ mixing
    model = o.seeded_(nn.Sequential(nn.Linear(12, 5, bias=False)))
    evidence = collect(model, [(x, None)], ExactOBS.needs, graph=trace(model, x))
    return model[0].weight.detach().numpy(), o.moments(x.numpy(), 0.01), evidence


def found(layer, **how):
    return ExactOBS(**how).saliency("0.weight", layer[2]).numpy()


def test_against_greedy_solving():
    assert oracle.error() < 1e-11


def test_the_lowest_scores_are_the_cheapest_next_removals(layer):
    """The paper's global step, written as a heap over rows; here losses do fall now and then."""
    weight, gram, _ = layer
    traces = [oracle.greedy(gram, row) for row in weight]
    assert any(b < a for trace in traces for (_, a), (_, b) in itertools.pairwise(trace))
    heap = [(trace[0][1], row, 0) for row, trace in enumerate(traces)]
    heapq.heapify(heap)
    ranked = np.argsort(found(layer).reshape(-1), kind="stable").tolist()
    gone = set()
    for count in range(1, 61):
        _, row, step = heapq.heappop(heap)
        gone.add(row * 12 + traces[row][step][0])
        if step + 1 < 12:
            heapq.heappush(heap, (traces[row][step + 1][1], row, step + 1))
        assert set(ranked[:count]) == gone


def test_better_than_choosing_once(layer):
    """What greedy refitting takes out leaves less error than the surgeon's first scores do."""
    weight, gram, evidence = layer
    once = OBS().saliency("0.weight", evidence).numpy()
    errors = [
        sum(o.refit(gram, row, np.argsort(s)[:7].tolist())[1] for row, s in zip(weight, scores, strict=True))
        for scores in (found(layer), once)
    ]
    assert errors[0] < errors[1]


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 3), (5, 6)])
def test_patterns(layer, n, m):
    weight, gram, _ = layer
    scores = found(layer, n=n, m=m)
    for row, values in zip(weight, scores, strict=True):
        gone = [q for q, _ in oracle.greedy(gram, row, most=m - n, bucket=m)]
        assert np.argsort(values, kind="stable").tolist()[: len(gone)] == gone
        for bucket in range(0, 12, m):
            assert set(np.argsort(values[bucket : bucket + m])[: m - n] + bucket) <= set(gone)


def test_runs_of_neighbours(layer):
    """Blocks of four: at each step every block that is left is tried and everything else solved anew."""
    weight, gram, _ = layer
    scores = found(layer, run=4)
    for row, values in zip(weight, scores, strict=True):
        gone, before, level = [], 0.0, 0.0
        for _ in range(3):
            left = [b for b in range(3) if 4 * b not in gone]
            losses = {b: o.refit(gram, row, [*gone, *range(4 * b, 4 * b + 4)])[1] for b in left}
            best = min(losses, key=losses.get)
            level = max(level, losses[best] - before)
            assert values[4 * best : 4 * best + 4] == pytest.approx(level / 4, rel=1e-8)
            before, gone = losses[best], [*gone, *range(4 * best, 4 * best + 4)]


def test_pieces_of_rows(layer, monkeypatch):
    from secateur.core import quadratic

    whole = found(layer)
    monkeypatch.setattr(quadratic, "_PIECE", 2 * 144)
    assert np.allclose(found(layer), whole, rtol=1e-12)


def test_limits(layer, monkeypatch):
    with pytest.raises(IncompatibleError, match="12 entries, which do not divide by 5"):
        found(layer, n=2, m=5)
    monkeypatch.setattr(module, "LIMIT", 5 * 12**3 - 1)
    with pytest.raises(IncompatibleError, match=r"5 rows of 12 entries.*9e\+03 are allowed.*sparsegpt"):
        found(layer)
    for wrong in ({"n": 4, "m": 4}, {"n": 1}, {"run": 0}, {"run": 4, "n": 2, "m": 4}):
        with pytest.raises(IncompatibleError):
            ExactOBS(**wrong)


def test_equal_weights_go_in_order():
    """Zeros cost nothing, and still every entry has a place of its own."""
    model = nn.Sequential(nn.Linear(4, 2)).double()
    torch.nn.init.zeros_(model[0].weight)
    x = o.numbers(9, 4)
    scores = ExactOBS().saliency("0.weight", collect(model, [(x, None)], ExactOBS.needs, graph=trace(model, x)))
    assert scores.tolist() == [sorted(set(row)) for row in scores.tolist()]


def test_patterns_and_runs_through_plans():
    """The granularities of the same names take what the criterion meant."""
    model, data = o.convolutions(), o.batches(6)
    graph, evidence = o.evidence_of(model, data, ExactOBS.needs)
    name = "2.weight"
    kept = {}
    for how, unit, budget in (
        (ExactOBS(n=2, m=4), NM(n=2, m=4), Budget(1.0, of="weights")),
        (ExactOBS(run=4), Block(size=4, along="inputs"), Budget(0.5, of="units")),
    ):
        made = plan(graph, score(graph, how, evidence, granularity=unit), budget)
        kept[unit] = made.masks()[name].numpy().reshape(-1, 12)
    seen, rows = o.seen_by(model, data, name), o.rows_of(model, name, 2)
    every = [(o.moments(x, 0.01), row) for x, part in zip(seen, rows, strict=True) for row in part]
    for (gram, row), keep in zip(every, kept[NM(n=2, m=4)], strict=True):
        assert {q for q, _ in oracle.greedy(gram, row, most=2, bucket=4)} == set(np.flatnonzero(~keep))
    blocks = kept[Block(size=4, along="inputs")].reshape(-1, 4)
    assert (blocks.all(1) | ~blocks.any(1)).all() and blocks.all(1).sum() == len(blocks) // 2
