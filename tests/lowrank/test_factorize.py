"""`factorize`: budgets to the number, exact surgery, what is refused, and that pruning goes on afterwards."""

import copy
from dataclasses import dataclass
from itertools import product

import pytest
import torch
from torch import nn

import secateur
from secateur.apply.replacing import Layer
from secateur.bench.zoo.lenet import lenet5, lenet_300_100
from secateur.core.contracts import Call, Factorizer
from secateur.core.errors import BudgetError, IncompatibleError, UnknownNameError, UnsupportedError, VerificationError
from secateur.criteria import Magnitude
from secateur.lowrank import FACTORIZERS, SVD, Tucker2
from secateur.lowrank.choosing import Choice, by_budget, cheapest, choices, front
from secateur.measure import macs, parameters


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48, 30), nn.ReLU(), nn.Linear(30, 4),
    ).eval()  # fmt: skip


X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _same_random_state():
    with torch.random.fork_rng():
        yield


@pytest.mark.parametrize("name", [n for n in FACTORIZERS if n not in ("low_rank_plus_sparse", "cp")])
@pytest.mark.parametrize("budget", ["0.6 macs", "0.7 params"])
def test_budget_is_met_and_counted(name, budget):
    """What is said of cost is what is counted on the network."""
    model = small()
    if name == "tt" and "macs" in budget:
        budget = "0.99 macs"
    if name in ("spatial", "tucker2") and "params" in budget:
        budget = "0.8 params"
    found = secateur.factorize(model, name, example_inputs=X, budget=budget)
    assert found.macs == (macs(model, X), macs(found.model, X))
    assert found.params == (parameters(model), parameters(found.model))
    share, of = budget.split()
    before, after = found.macs if of == "macs" else found.params
    assert after <= float(share) * before
    assert found.layers
    assert "network: MACs" in str(found)


def test_model_untouched():
    model = small().train()
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    found = secateur.factorize(model, "svd", example_inputs=X, energy=0.8)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert model.training
    assert found.model.training
    assert not any(len(v) for m in model.modules() for k, v in vars(m).items() if k.endswith("_hooks"))


def test_full_ranks_change_nothing():
    model = small()
    found = secateur.factorize(model, "svd", example_inputs=X, ranks={"0": 8, "3": 12, "7": 30, "9": 4})
    assert torch.allclose(found.model(X), model(X), atol=1e-5)
    assert all(f.energy == pytest.approx(1, abs=1e-9) for f in found.layers.values())
    assert found.difference < 1e-10


def test_energy_is_the_least_rank_that_keeps_it():
    model = small()
    found = secateur.factorize(model, "svd", example_inputs=X, energy=0.7)
    assert found.layers
    for name, factors in found.layers.items():
        s = torch.linalg.svdvals(model.get_submodule(name).weight.detach().double().flatten(1)).square()
        kept = (s.cumsum(0) / s.sum()).tolist()
        assert kept[factors.ranks[0] - 1] >= 0.7
        assert factors.ranks[0] == 1 or kept[factors.ranks[0] - 2] < 0.7
        assert factors.energy == pytest.approx(kept[factors.ranks[0] - 1], abs=1e-6)


def test_budget_against_brute_force():
    """On three small layers, at every budget: the best of all combinations."""
    torch.manual_seed(1)
    sizes = [(6, 8, 1), (5, 9, 3), (7, 7, 2)]
    layers = {str(k): Layer(nn.Linear(n, m).double(), (Call(b),)) for k, (m, n, b) in enumerate(sizes)}
    options = [choices(SVD(), layer, "macs") for layer in layers.values()]
    combinations = [(sum(c.cost for c in pick), sum(c.lost for c in pick)) for pick in product(*options)]
    dense = sum(layer.macs for layer in layers.values())
    for most in range(84, dense + 10, 3):
        ranks = by_budget(SVD(), layers, 5, most + 5, "macs")
        picked = [next(c for c in found if c.ranks == ranks[name]) for name, found in zip(layers, options, strict=True)]
        assert sum(c.cost for c in picked) <= most
        best = min(lost for cost, lost in combinations if cost <= most)
        assert sum(c.lost for c in picked) == pytest.approx(best, abs=1e-12)


def test_coarse_costs_meet_the_budget_too():
    """Costs far above the number of cells: never over the budget, and within rounding of the least loss."""
    rng = torch.Generator().manual_seed(0)
    options = {}
    for k in range(4):
        costs = torch.randint(10**8, 10**9, (12,), generator=rng).sort().values.tolist()
        losses = torch.rand(12, generator=rng).sort(descending=True).values.tolist()
        options[str(k)] = front([Choice(c, x, (n + 1,)) for n, (c, x) in enumerate(zip(costs, losses, strict=True))])
    every = [(sum(c.cost for c in pick), sum(c.lost for c in pick)) for pick in product(*options.values())]
    least, most = min(c for c, _ in every), max(c for c, _ in every)
    for share in (0.0, 0.1, 0.4, 0.8, 1.0):
        allowed = round(least + share * (most - least))
        found = cheapest(options, allowed).values()
        assert sum(c.cost for c in found) <= allowed
        stricter = allowed - 4 * ((allowed - least) // 2**15 + 1)
        best = min((lost for cost, lost in every if cost <= max(stricter, least)), default=0.0)
        assert sum(c.lost for c in found) <= best + 1e-12


def test_what_is_refused():
    model = small()
    with pytest.raises(BudgetError, match="Raise the budget") as caught:
        secateur.factorize(model, "svd", example_inputs=X, budget="0.01 macs")
    again = secateur.factorize(
        model, "svd", example_inputs=X, budget=secateur.Budget(caught.value.reachable + 1e-6, "macs")
    )
    assert all(f.ranks == (1,) for f in again.layers.values())
    with pytest.raises(BudgetError, match="macs or params"):
        secateur.factorize(model, "svd", example_inputs=X, budget="0.5 units")
    with pytest.raises(BudgetError, match="energy"):
        secateur.factorize(model, "svd", example_inputs=X, energy=1.5)
    with pytest.raises(IncompatibleError, match="one of"):
        secateur.factorize(model, "svd", example_inputs=X, budget="0.5 macs", energy=0.5)
    with pytest.raises(UnknownNameError, match="vbmf"):
        secateur.factorize(model, "svd", example_inputs=X, ranks="bayes")
    with pytest.raises(UnknownNameError, match="'1'"):
        secateur.factorize(model, "svd", example_inputs=X, ranks={"1": 2})
    with pytest.raises(UnknownNameError, match="no_such"):
        secateur.factorize(model, "svd", example_inputs=X, energy=0.5, only=["no_such"])
    with pytest.raises(UnsupportedError, match="no layer"):
        secateur.factorize(model, "tucker2", example_inputs=X, energy=0.5, only=["7"])
    with pytest.raises(UnsupportedError, match="variational"):
        secateur.factorize(model, "cp", example_inputs=X, ranks="vbmf")
    with pytest.raises(IncompatibleError, match="ranks must be"):
        secateur.factorize(model, "svd", example_inputs=X, ranks={"7": 31})


def test_frozen_and_only():
    found = secateur.factorize(small(), "svd", example_inputs=X, energy=0.5, only=["3", "7"], frozen=["7"])
    assert set(found.layers) == {"3"}
    assert found.whole["7"] == "not asked for"


class Odd(nn.Module):
    """Tied weights, a weight read from outside, a hook, a layer that is never called, one that is called twice."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(8, 8) for _ in range(4))
        self.read, self.twice = nn.Linear(8, 8), nn.Linear(8, 8)
        self.b.weight = self.a.weight
        self.c.register_forward_hook(lambda *_: None)
        self.alias = self.twice

    def forward(self, x):
        return self.alias(self.twice(self.c(self.b(self.a(x))))) @ self.read.weight


def test_odd_layers_stay_whole():
    model, x = Odd(), torch.randn(3, 8)
    found = secateur.factorize(model, "svd", example_inputs=x, energy=0.4)
    assert set(found.layers) == {"twice"}
    assert found.layers["twice"].macs[0] == 2 * 3 * 64
    assert found.model.alias is found.model.twice
    assert "another layer" in found.whole["a"]
    assert "hooks" in found.whole["c"]
    assert "does not call" in found.whole["d"]


class Reads(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)

    def forward(self, x):
        return self.a(x) * self.a.weight.mean()


def test_weight_read_by_others_is_found_out():
    with pytest.raises(UnsupportedError, match="frozen"):
        secateur.factorize(Reads(), "svd", example_inputs=torch.randn(2, 8), energy=0.4)


def test_vbmf_ranks():
    """Planted ranks are found in both modes of a convolution."""
    model = nn.Sequential(nn.Conv2d(24, 30, 3))
    g = torch.Generator().manual_seed(0)
    core = torch.einsum(
        "sa,bayx,tb->tsyx",
        torch.randn(24, 4, generator=g),
        torch.randn(5, 4, 3, 3, generator=g),
        torch.randn(30, 5, generator=g),
    )
    with torch.no_grad():
        model[0].weight.copy_(core + 0.3 * torch.randn(core.shape, generator=g))
    found = secateur.factorize(model, Tucker2(), example_inputs=torch.randn(1, 24, 8, 8), ranks="vbmf")
    assert found.layers["0"].ranks == (4, 5)


@pytest.mark.parametrize("name", list(FACTORIZERS))
def test_pruning_goes_on(name):
    """A factorized network is traced, cut to half, and the cut is verified."""
    found = secateur.factorize(small(), name, example_inputs=X, energy=0.6).model
    graph = secateur.trace(found, X)
    assert not graph.unknown
    scores = secateur.score(graph, Magnitude(), secateur.collect(found, None, Magnitude.needs, graph=graph))
    plan = secateur.plan(graph, scores, secateur.Budget("0.7 units"))
    assert secateur.verify(found, plan) < 1e-5
    shrunk = secateur.shrink(secateur.mask(found, plan), plan)
    assert macs(shrunk, X) < macs(found, X)
    if name in ("tucker2", "svd", "spatial"):
        thin = [
            g
            for g in graph.cuttable.values()
            if any(s.tensor.startswith("3.") and s.tensor.endswith("0.weight") for s in g.slots)
        ]
        assert thin  # the channels between factors may be cut too


@pytest.mark.parametrize("make", [lenet5, lenet_300_100])
def test_zoo(make):
    x = torch.randn(1, 1, 28, 28)
    found = secateur.factorize(make(), "svd", example_inputs=x, budget="0.4 macs")
    assert found.macs[1] <= 0.4 * found.macs[0]
    assert found.difference < 1e-10


@dataclass(frozen=True, kw_only=True)
class Lying(Factorizer):
    """Says that its factors stand for another weight than they do."""

    def refusal(self, module):
        return SVD().refusal(module)

    def full(self, module):
        return SVD().full(module)

    def curve(self, module):
        return SVD().curve(module)

    def unfoldings(self, module):
        return SVD().unfoldings(module)

    def factorize(self, module, ranks):
        return SVD().factorize(module, ranks)

    def weight(self, factors):
        return SVD().weight(factors) * (1 + 1e-5)

    def params(self, module, ranks):
        return SVD().params(module, ranks)

    def macs(self, module, ranks, call):
        return SVD().macs(module, ranks, call)


def test_the_check_bites():
    with pytest.raises(VerificationError, match="differs"):
        secateur.factorize(small(), Lying(), example_inputs=X, energy=0.8)
