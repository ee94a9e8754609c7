"""The whole line in one call: what it leaves alone, what it refuses early, and that its parts fit."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

import secateur
from secateur.bench.zoo.lenet import lenet5
from secateur.bench.zoo.resnet import ResNet
from secateur.core.errors import BudgetError, IncompatibleError, MissingEvidenceError, UnknownNameError
from secateur.granularity import Layer
from secateur.methods import METHODS

QUICK = secateur.Run(runtimes=())


def network():
    torch.manual_seed(0)
    return ResNet(1, 8, channels=3, classes=4)


def batches(n=3):
    torch.manual_seed(1)
    return [(torch.randn(6, 3, 8, 8), torch.randint(0, 4, (6,))) for _ in range(n)]


EXAMPLE = torch.zeros(1, 3, 8, 8)


class Untouchable:
    """Data that must not be walked through."""

    def __iter__(self):
        raise AssertionError("training began although the request cannot be met")

    def __len__(self):
        return 3


@pytest.mark.parametrize("name", list(METHODS))
def test_every_recipe(name):
    model = network()
    before = copy.deepcopy(model.state_dict())
    data = batches()
    state = torch.get_rng_state()
    made = secateur.compress(model, name, example_inputs=EXAMPLE, data=data, run=QUICK, quality=lambda m: 1.0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert made.report.equivalence < 1e-5
    assert made.plan.provenance.reached <= METHODS[name]().budget.keep + 1e-9
    assert type(made.model) is type(model)
    assert made.report.after.quality == {"quality": 1.0}
    again = secateur.compress(model, name, example_inputs=EXAMPLE, data=data, run=QUICK)
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), made.model.parameters(), strict=True))


@pytest.mark.parametrize("name", ["li2017", "taylor2019", "random"])
def test_depth(name):
    torch.manual_seed(0)
    model = ResNet(3, 8, channels=3, classes=4)
    how = replace(METHODS[name](), granularity=Layer())
    made = secateur.compress(model, how, example_inputs=EXAMPLE, budget="0.6 macs", data=batches(), run=QUICK)
    assert made.report.equivalence < 1e-5
    assert 0.5 < made.plan.provenance.reached <= 0.6
    removed = [w.group for w in made.report.widths if not w.after]
    assert tuple(removed) == made.plan.removed
    assert [w.group for w in made.report.widths] == list(made.plan.graph.blocks)
    assert made.report.after.macs / made.report.before.macs == pytest.approx(made.plan.provenance.reached)
    assert all(type(made.model.get_submodule(n)) is nn.Identity for n in removed)


def test_without_data_nothing_is_trained():
    model = network()
    made = secateur.compress(model, "li2017", example_inputs=EXAMPLE, budget="0.5 params", run=QUICK)
    kept = made.plan.graph.dim_keeps(made.plan.kept)["conv1.weight"][0]
    assert torch.equal(made.model.conv1.weight, model.conv1.weight[kept])


@pytest.mark.parametrize("name", ["network_slimming", "taylor2019", "han2015"])
def test_impossible_budgets_fail_before_training(name):
    with pytest.raises(BudgetError, match="cannot be met") as error:
        secateur.compress(network(), name, example_inputs=EXAMPLE, budget="1e-6 macs", data=Untouchable(), run=QUICK)
    assert 0 < error.value.reachable <= 1


def test_criteria_that_cannot_rank_fail_before_training():
    with pytest.raises(IncompatibleError, match="no normalisation scale"):
        secateur.compress(
            lenet5(), "network_slimming", example_inputs=torch.zeros(1, 1, 28, 28), data=Untouchable(), run=QUICK
        )


def test_patterns_that_match_nothing_fail_before_training():
    run = replace(QUICK, constraints=secateur.Constraints(frozen=("nowhere.*",)))
    with pytest.raises(UnknownNameError, match="matches no block"):
        secateur.compress(network(), "li2017", example_inputs=EXAMPLE, data=Untouchable(), run=run)


def test_data_driven_without_data():
    with pytest.raises(MissingEvidenceError, match="needs data"):
        secateur.compress(network(), "taylor2019", example_inputs=EXAMPLE, run=QUICK)


def test_own_training_sees_the_masked_network():
    seen = []
    run = replace(QUICK, train=lambda m: seen.append(type(m)))
    made = secateur.compress(network(), "li2017", example_inputs=EXAMPLE, run=run)
    assert seen == [ResNet]
    assert made.report.equivalence < 1e-5


def test_keyword_inputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 8), nn.Linear(4, 8), nn.Linear(8, 3)

        def forward(self, *, x, y):
            return {"out": self.c(self.a(x).relu() + self.b(y))}

    made = secateur.compress(
        Two(), "li2017", example_inputs={"x": torch.zeros(2, 4), "y": torch.zeros(2, 4)}, budget="0.5 units", run=QUICK
    )
    assert made.model.c.weight.shape == (3, 4)
    assert made.model(x=torch.zeros(2, 4), y=torch.zeros(2, 4))["out"].shape == (2, 3)
