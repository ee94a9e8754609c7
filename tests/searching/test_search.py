"""The verb: the best of all plans, by brute force; resuming; Ctrl-C; what it refuses."""

import json
from itertools import product

import pytest
import torch
from torch import nn

import secateur
from secateur import SearchRun
from secateur.apply.masking import mask
from secateur.core.budget import Budget
from secateur.core.contracts import Known, Search
from secateur.core.errors import BudgetError, IncompatibleError, MissingEvidenceError, SecateurError
from secateur.criteria import LiGreedy, Magnitude
from secateur.evidence import Weight, collect
from secateur.granularity import Channel, Layer
from secateur.planning import plan_by_hand, score
from secateur.repair import BatchNorm
from secateur.search import AMC, Bayesian, Genetic, Random, Uniform
from secateur.searching import search_graph

HOW = (Magnitude(p=1), Channel())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 15)
        self.n = nn.BatchNorm1d(15)
        self.b = nn.Linear(15, 12)
        self.c = nn.Linear(12, 3)

    def forward(self, x):
        return self.c(torch.relu(self.b(torch.relu(self.n(self.a(x))))))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture
def x():
    return torch.randn(32, 6, generator=torch.Generator().manual_seed(1))


def likeness(model, x):
    wanted = model(x).detach()
    return lambda network: -float((network(x).detach() - wanted).square().mean())


def searched(model, x, how="random", **changes):
    run = SearchRun(**{"evaluations": 40, "repair": (), **changes})
    return secateur.search(model, HOW, "0.5 params", example_inputs=x[:1], quality=likeness(model, x), how=how, run=run)


def test_best_of_all(model, x):
    """In the best hundredth of all choices that fit, each of them masked by hand through the public verbs."""
    found = searched(model, x, how=Genetic(population=10), evaluations=120)
    graph = secateur.trace(model, x[:1])
    values = score(graph, HOW[0], collect(model, None, (Weight,), graph=graph)).values
    names, quality, every = list(graph.cuttable), likeness(model, x), []
    allowed = 0.5 * secateur.cost(graph).params
    for counts in product(*(range(1, graph.groups[n].units + 1) for n in names)):
        if secateur.cost(graph, dict(zip(names, counts, strict=True))).params <= allowed:
            keep = {n: values[n].topk(c).indices.tolist() for n, c in zip(names, counts, strict=True)}
            every.append(quality(mask(model, plan_by_hand(graph, keep))))
    every.sort()
    assert found.quality >= every[-max(1, len(every) // 100)] - 1e-6
    assert found.quality <= every[-1] + 1e-6


def test_what_it_returns(model, x):
    found = searched(model, x)
    assert found.plan.provenance.reached <= 0.5
    assert found.plan.provenance.allocation == found.how == "Random()"
    assert {b.name: found.plan.width(b.name) for b in found.plan.blocks} == dict(found.best.counts)
    assert found.best.quality == found.quality
    assert found.dense == 0
    assert likeness(model, x)(secateur.shrink(model, found.plan)) == pytest.approx(found.quality, rel=1e-5)
    assert len(found.history) == 40


def test_model_is_untouched(model, x):
    before = {n: t.clone() for n, t in model.state_dict().items()}
    state = torch.get_rng_state()
    model.train()
    secateur.search(model, HOW, "0.5 params", example_inputs=x[:1], quality=lambda m: float(torch.rand(1)), data=[(x, None)],
                    how="random", run=SearchRun(evaluations=3))  # fmt: skip
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())


def test_resumes_without_evaluating(model, x, tmp_path):
    first = searched(model, x, how="genetic", out=tmp_path)
    calls = []

    def counting(network):
        calls.append(network)
        return likeness(model, x)(network)

    again = secateur.search(model, HOW, "0.5 params", example_inputs=x[:1], quality=counting, how="genetic",
                            run=SearchRun(evaluations=45, repair=(), out=tmp_path))  # fmt: skip
    assert again.history[:40] == first.history
    known = {tuple(t.counts.values()) for t in first.history}
    new = {tuple(t.counts.values()) for t in again.history[40:]} - known
    assert len(calls) == 1 + len(new)  # the dense network, and what is really new
    assert (tmp_path / "study.db").exists()


def test_refuses_another_problem(model, x, tmp_path):
    searched(model, x, out=tmp_path, evaluations=2)
    with pytest.raises(IncompatibleError, match=r"search: 'Random\(\)' there, 'Uniform\(\)' here"):
        searched(model, x, how="uniform", out=tmp_path)
    with torch.no_grad():
        model.a.weight[0, 0] += 1
    with pytest.raises(IncompatibleError, match="network"):
        searched(model, x, out=tmp_path)


def test_a_storage_holds_many_problems(model, x, tmp_path):
    url = f"sqlite:///{tmp_path / 'all.db'}"
    first, second = (searched(model, x, seed=seed, storage=url, evaluations=5) for seed in (0, 1))
    assert first.history != second.history
    assert searched(model, x, storage=url, evaluations=5).history == first.history


class Impatient:
    def __init__(self, judge, calls):
        self.judge, self.calls = judge, calls

    def __call__(self, network):
        self.calls -= 1
        if not self.calls:
            raise KeyboardInterrupt
        return self.judge(network)


@pytest.mark.parametrize("how", [Random(), Genetic(), Bayesian(model="tpe"), AMC()], ids=repr)
def test_ctrl_c_keeps_what_was_found(model, x, how, tmp_path):
    judge = Impatient(likeness(model, x), 8)
    found = secateur.search(model, HOW, "0.5 params", example_inputs=x[:1], quality=judge, how=how,
                            run=SearchRun(evaluations=40, repair=(), out=tmp_path))  # fmt: skip
    assert found.broken_off
    assert 1 <= len(found.history) < 40
    whole = searched(model, x, how=how, out=tmp_path, evaluations=40)
    assert whole.history[: len(found.history)] == found.history


def test_ctrl_c_before_anything_is_found(model, x):
    with pytest.raises(KeyboardInterrupt):
        secateur.search(model, HOW, "0.5 params", example_inputs=x[:1], quality=Impatient(lambda m: 0, 2), how="random",
                        run=SearchRun(repair=()))  # fmt: skip


def test_progress_names_the_best(model, x):
    said = []
    searched(model, x, evaluations=3, progress=lambda *words: said.append(words))
    searches = [s for s in said if s[0].startswith("search Random")]
    assert [s[1:] for s in searches] == [(1, 3), (2, 3), (3, 3)]
    assert all("best -" in s[0] for s in searches)


def test_repairs_come_into_it(model, x):
    """Batch-norm statistics of the cut network, as masking and repairing by hand gives them."""
    data = [(2 * x + 1, None)]
    quality = likeness(model, x)
    found = secateur.search(model, HOW, "0.5 params", example_inputs=x[:1], quality=quality, data=data, how=Uniform())
    student = mask(model, found.plan)
    BatchNorm().repair_(student, model, found.plan, Known(collect(model, None, (), graph=found.plan.graph), data))
    assert quality(student) == pytest.approx(found.quality, rel=1e-5)


def test_criteria_that_decide_in_order(model, x):
    found = secateur.search(model, (LiGreedy(), Channel()), "0.5 params", example_inputs=x[:1], quality=likeness(model, x),
                            how=Random(), run=SearchRun(evaluations=4, repair=()))  # fmt: skip
    assert {b.name: found.plan.width(b.name) for b in found.plan.blocks} == dict(found.best.counts)


def test_by_recipe(model, x):
    data = [(x, torch.zeros(32, dtype=torch.long))]
    found = secateur.search(model, "taylor2019", "0.6 macs", example_inputs=x[:1], quality=likeness(model, x), data=data,
                            how="random", run=SearchRun(evaluations=3))  # fmt: skip
    assert found.plan.provenance.reached <= 0.6
    assert found.plan.provenance.criterion.startswith("Taylor")


def test_refusals(model, x):
    with pytest.raises(BudgetError, match="names a budget"):
        secateur.search(model, HOW, example_inputs=x[:1], quality=lambda m: 0, run=SearchRun(repair=()))
    with pytest.raises(MissingEvidenceError, match=r"SearchRun\(repair=\(\)\)"):
        secateur.search(model, HOW, "0.5 macs", example_inputs=x[:1], quality=lambda m: 0)
    with pytest.raises(SecateurError, match="NaN"):
        secateur.search(
            model, HOW, "0.5 macs", example_inputs=x[:1], quality=lambda m: float("nan"), run=SearchRun(repair=())
        )
    with pytest.raises(IncompatibleError, match="evaluations"):
        SearchRun(evaluations=0)
    with pytest.raises(KeyError, match="bayesian"):
        searched(model, x, how="bayesain")


class Nothing(Search):
    def run(self, limits, evaluate, evaluations, seed):
        while True:
            evaluate(limits.blocks)


def test_a_search_that_fits_nothing(model, x):
    with pytest.raises(IncompatibleError, match="meets the budget in 7 evaluations"):
        searched(model, x, how=Nothing(), evaluations=7)


def test_depth(x):
    """Whole residual blocks, whose number is all there is to choose."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))

        def forward(self, x):
            return x + self.body(x)

    torch.manual_seed(0)
    deep = nn.Sequential(*(Block() for _ in range(4)), nn.Linear(6, 2)).eval()
    found = secateur.search(deep, (Magnitude(), Layer()), Budget(0.6), example_inputs=x[:1], quality=likeness(deep, x),
                            how="random", run=SearchRun(evaluations=4, repair=()))  # fmt: skip
    assert len(found.plan.removed) == 2


def test_graph_and_evidence_at_hand(model, x):
    graph = secateur.trace(model, x[:1])
    known = Known(collect(model, None, (Weight,), graph=graph), ())
    run = SearchRun(evaluations=40, repair=())
    found = search_graph(
        model, graph, HOW, "0.5 params", known=known, quality=likeness(model, x), how="random", run=run
    )
    assert found.history == searched(model, x).history


def test_problem_is_readable(model, x, tmp_path):
    searched(model, x, out=tmp_path, evaluations=2)
    head = json.loads((tmp_path / "journal.jsonl").read_text().splitlines()[0])
    assert head["problem"]["budget"] == "0.5 params"
    assert head["problem"]["criterion"] == "Magnitude(p=1)"
