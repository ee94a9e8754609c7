"""Budgets in milliseconds through the whole line, on a clock that counts multiply-accumulates."""

import json
import sys
from contextlib import suppress
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn

import secateur
from secateur import TimeLimit
from secateur.bench.zoo.resnet import ResNet
from secateur.chain import ChainRun, Factorize, Prune, chain
from secateur.core.errors import BudgetError, UnsupportedError
from secateur.core.recipe import FineTune
from secateur.core.report import InTime, Latency
from secateur.granularity import Layer
from secateur.measure import macs
from secateur.methods import recipe
from secateur.report import read_json, write_json
from secateur.report.sentences import notes

EXAMPLE = torch.zeros(1, 3, 8, 8)
QUICK = secateur.Run(runtimes=())


def network():
    torch.manual_seed(0)
    return ResNet(1, 8, channels=3, classes=4).eval()


def batches(n=3):
    torch.manual_seed(1)
    return [(torch.randn(6, 3, 8, 8), torch.randint(0, 4, (6,))) for _ in range(n)]


@pytest.fixture(autouse=True)
def seen(monkeypatch):
    """The clock, 1 ms for 100 000 multiply-accumulates, and what it timed."""
    timed = []

    def clock(models, example_inputs, *, runtime, threads):
        timed.append((runtime, threads, {n: macs(m, example_inputs) for n, m in models.items()}))
        return {
            n: Latency(runtime, count / 1e5, count / 1e5, "cpu", threads, 1, 1) for n, count in timed[-1][2].items()
        }

    monkeypatch.setattr(sys.modules["secateur.measure.time_limit"], "latencies", clock)
    return timed


@cache
def every_cost():
    """Multiply-accumulates of every cut, shares a hundredth apart."""
    graph, one, found = secateur.trace(network(), EXAMPLE), recipe("li2017"), []
    scores = secateur.score(graph, one.criterion, secateur.collect(network(), None, one.criterion.needs, graph=graph))
    for hundredths in range(1, 101):
        with suppress(BudgetError):
            made = secateur.plan(graph, scores, secateur.Budget(hundredths / 100, "macs"), one.allocation)
            found.append(macs(secateur.shrink(network(), made, verify=False), EXAMPLE))
    return found


@pytest.mark.parametrize("share", [0.3, 0.55, 0.8])
def test_pruned_to_the_widest_that_fits(share):
    """Within a hundredth of the multiply-accumulates of the best of all shares."""
    dense = macs(network(), EXAMPLE)
    limit = share * dense / 1e5
    made = secateur.compress(network(), "li2017", example_inputs=EXAMPLE, budget=TimeLimit(limit), run=QUICK)
    after = made.report.after.macs
    best = max(cost for cost in every_cost() if cost / 1e5 <= limit)
    assert after / 1e5 <= limit
    assert after >= best - 0.01 * dense
    time = made.report.time
    assert time.final == pytest.approx(time.ms) == pytest.approx(after / 1e5)
    assert time.dense == dense / 1e5
    assert made.plan.provenance.budget == str(secateur.Budget(time.keep, "macs"))


def test_words_runtime_and_threads(seen):
    budget = "half the latency in onnxruntime on 2 threads"
    made = secateur.compress(network(), "li2017", example_inputs=EXAMPLE, budget=budget, run=QUICK)
    assert {one[:2] for one in seen} == {("onnxruntime", 2)}
    assert made.report.after.macs <= 0.5 * made.report.before.macs
    assert any("asked for 0.5 latency in onnxruntime on 2 threads (" in note for note in notes(made.report))


class Untouchable:
    """Data that must not be walked through."""

    def __iter__(self):
        raise AssertionError("training began although the request cannot be met")

    def __len__(self):
        return 3


@pytest.mark.parametrize("name", ["li2017", "taylor2019", "network_slimming"])
def test_out_of_reach_before_any_training(name):
    with pytest.raises(BudgetError, match=r"a time of 1e-06 ms cannot be met: the fastest of 8 networks.*dense one"):
        secateur.compress(network(), name, example_inputs=EXAMPLE, budget="1e-6 ms", data=Untouchable(), run=QUICK)


@pytest.mark.parametrize("name", ["lamp", "wanda", "gmp", "n_m"])
def test_single_weights_are_refused(name, seen):
    with pytest.raises(UnsupportedError, match="leaves every tensor its shape"):
        secateur.compress(network(), name, example_inputs=EXAMPLE, budget="8 ms", data=Untouchable(), run=QUICK)
    assert not seen


@pytest.mark.parametrize("name", ["taylor2019", "network_slimming", "sfp"])
def test_trained_recipes_measure_first_and_report_in_the_end(name, seen):
    model = network()
    dense = macs(model, EXAMPLE)
    made = secateur.compress(
        model, name, example_inputs=EXAMPLE, budget=f"{0.5 * dense / 1e5} ms", data=batches(), run=QUICK
    )
    assert made.plan.provenance.reached <= made.report.time.keep < 1
    assert made.report.time.final == pytest.approx(made.report.after.macs / 1e5)
    assert seen[-1][2]["candidate"] == made.report.after.macs
    assert made.report.time.tried == len(seen) - 1


def test_depth_and_multiples():
    torch.manual_seed(0)
    deep = ResNet(3, 8, channels=3, classes=4).eval()
    how = replace(recipe("li2017"), granularity=Layer())
    made = secateur.compress(deep, how, example_inputs=EXAMPLE, budget="0.6 latency", run=QUICK)
    assert made.plan.removed
    assert made.report.after.macs <= 0.6 * made.report.before.macs
    run = replace(QUICK, constraints=secateur.Constraints(multiple=4))
    made = secateur.compress(network(), "li2017", example_inputs=EXAMPLE, budget="0.6 latency", run=run)
    assert all(w.after % 4 == 0 or w.after == w.before for w in made.report.widths)
    assert made.report.after.macs <= 0.6 * made.report.before.macs


def test_a_dense_network_that_is_fast_enough_stays():
    made = secateur.compress(network(), "li2017", example_inputs=EXAMPLE, budget="1000 ms", run=QUICK)
    assert made.report.after.macs == made.report.before.macs
    assert any("nothing has to go" in note for note in notes(made.report))


def test_the_report_is_read_back(tmp_path):
    made = secateur.compress(network(), "li2017", example_inputs=EXAMPLE, budget="0.5 latency", run=QUICK)
    assert read_json(write_json(made.report, tmp_path / "report.json")) == made.report
    old = json.loads((tmp_path / "report.json").read_text())
    del old["time"]
    (tmp_path / "report.json").write_text(json.dumps(old))
    assert read_json(tmp_path / "report.json").time is None


def test_an_interrupted_run_keeps_its_share(tmp_path, seen):
    """The machine may be slower by then, and the training is of a network of those widths."""
    how = replace(recipe("taylor2019"), finetune=FineTune(epochs=2, lr=0.01))
    run = replace(QUICK, checkpoint=tmp_path / "checkpoint.pt")
    settings = {"example_inputs": EXAMPLE, "budget": "0.5 latency", "data": batches()}
    whole = secateur.compress(network(), how, run=QUICK, **settings)

    def stop(what, done, total):
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        secateur.compress(network(), how, run=replace(run, progress=lambda *a: "tune" in a[0] and stop(*a)), **settings)
    seen.clear()
    made = secateur.compress(network(), how, run=replace(run, resume=True), **settings)
    assert len(seen) == 1  # the end alone
    assert made.report.time == whole.report.time
    assert all(torch.equal(a, b) for a, b in zip(made.model.parameters(), whole.model.parameters(), strict=True))


@pytest.mark.parametrize("name", ["svd", "tucker2", "spatial"])
def test_ranks(name):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 24, 3, padding=1), nn.ReLU(), nn.Flatten()
    )
    model.append(nn.Linear(24 * 64, 40)).eval()
    dense = macs(model, EXAMPLE)
    limit = 0.6 * dense / 1e5
    found = secateur.factorize(model, name, example_inputs=EXAMPLE, budget=f"{limit!r} ms")
    best = 0
    for hundredths in range(1, 101):  # brute force
        try:
            one = secateur.factorize(model, name, example_inputs=EXAMPLE, budget=f"{hundredths / 100} macs")
        except BudgetError:
            continue
        best = max(best, one.macs[1] if one.macs[1] / 1e5 <= limit else 0)
    assert best - 0.01 * dense <= found.macs[1] == macs(found.model, EXAMPLE) <= 0.6 * dense
    assert found.time.ms == pytest.approx(found.macs[1] / 1e5)
    assert str(found).endswith(str(found.time))


def test_ranks_out_of_reach_or_not_needed():
    model = network()
    with pytest.raises(BudgetError, match="cannot be met: the fastest of"):
        secateur.factorize(model, "svd", example_inputs=EXAMPLE, budget="1e-6 ms")
    found = secateur.factorize(model, "svd", example_inputs=EXAMPLE, budget="1000 ms")
    assert not found.layers
    assert found.time.keep == 1.0


def test_steps_of_a_chain(tmp_path):
    steps = [Prune(recipe="li2017", budget="0.7 latency"), Factorize(factorizer="svd", budget="0.8 latency")]
    assert str(steps[0]) == "prune by li2017 to 0.7 latency"
    found = chain(network(), steps, example_inputs=EXAMPLE, run=ChainRun(out=tmp_path, runtimes=()))
    costs = [one.measured.macs for one in found.contributions]
    assert costs[1] <= 0.7 * costs[0]
    assert costs[2] <= 0.8 * costs[1]
    assert all(any(told.startswith("Time: asked for") for told in one.told) for one in found.contributions[1:])


def test_searches_and_plans_refuse():
    with pytest.raises(BudgetError, match="8 ms is a time limit"):
        secateur.search(network(), "li2017", "8 ms", example_inputs=EXAMPLE, quality=lambda m: 1.0)


def test_the_sentence():
    found = InTime("8 ms", 8.0, 0.25, 7.5, 20.0, 9)
    assert str(found) == "Time: asked for 8 ms; 0.25 of the MACs took 7.5 ms, the dense network 20 ms."
    assert str(replace(found, final=7.25)).endswith("; the network in the end takes 7.25 ms.")
