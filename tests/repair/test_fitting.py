"""obs_update, sparsegpt_update and least_squares, against solvers of their own and beside each other."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import _cutting as c
from benchmarks.criteria.oracles import _layers as o
from benchmarks.criteria.oracles import least_squares, obs_update, sparsegpt_update
from secateur.apply.masking import mask
from secateur.core.contracts import Known
from secateur.core.errors import IncompatibleError, MissingEvidenceError
from secateur.core.plan import PruningPlan
from secateur.core.recipe import Recipe
from secateur.evidence import InputGram, PatchMean, collect
from secateur.granularity import Channel, Weight
from secateur.graph.trace import trace
from secateur.methods import recipe
from secateur.repair import BatchNorm, FoldConstant, LeastSquares, OBSUpdate, SparseGPTUpdate
from secateur.repair import base as module

FITTING = [OBSUpdate(), SparseGPTUpdate(), LeastSquares()]
fitting = pytest.mark.parametrize("repair", FITTING, ids=lambda r: type(r).__name__)


@pytest.mark.parametrize("oracle", [obs_update, sparsegpt_update, least_squares], ids=lambda m: m.__name__[27:])
def test_against_solving_from_scratch(oracle):
    assert oracle.error() < 1e-10


def layer_error(model, student, data, name):
    """Mean squared error of one layer's outputs on the dense network's inputs."""
    place = name.rpartition(".")[0]
    seen, total = [], 0.0
    handle = model.get_submodule(place).register_forward_hook(lambda m, args, y: seen.append((args[0], y)))
    with torch.no_grad():
        for x, _ in data:
            model(x)
        handle.remove()
        for x, y in seen:
            total += float((student.get_submodule(place)(x) - y).square().mean()) / len(seen)
    return total


@pytest.mark.parametrize("granularity", [Weight(), Channel()], ids=repr)
def test_errors_of_layers(granularity):
    """With no damping nothing beats obs_update; the sweep lies between it and plain masks."""
    model, data = o.convolutions(), o.batches(12)
    plan = c.cut(model, data, granularity)
    masked = mask(model, plan)
    best = c.repaired([OBSUpdate(damping=1e-9)], model, data, plan)
    swept = c.repaired([SparseGPTUpdate(damping=1e-9)], model, data, plan)
    for name in ("2.weight", "5.weight"):
        errors = [layer_error(model, student, data, name) for student in (best, swept, masked)]
        # outputs that are gone count in all three alike
        assert errors[0] <= errors[1] * (1 + 1e-9)
        assert errors[1] < errors[2] or granularity == Channel()  # moved into channels that go later, it is lost
        with torch.no_grad():
            layer = copy.deepcopy(best)
            weight = layer.get_submodule(name[0]).parametrizations["weight"].original
            for seed in range(5):
                old = weight.clone()
                weight.add_(1e-3 * o.numbers(*weight.shape, seed=seed))
                assert layer_error(model, layer, data, name) > errors[0]
                weight.copy_(old)


def test_a_folded_bias_is_taken_into_account():
    """After fold_constant weights only make up for what the bias leaves, so that both together are better than one.

    Without that, the mean would be made up for twice, by the bias and by the weights.
    """
    model, data = o.convolutions(), o.batches(12)
    plan = c.cut(model, data, Channel())
    folded = c.repaired([FoldConstant()], model, data, plan)
    both = c.repaired([FoldConstant(), OBSUpdate(damping=1e-9)], model, data, plan)
    assert torch.equal(both[5].bias, folded[5].bias)
    assert layer_error(model, both, data, "5.weight") < layer_error(model, folded, data, "5.weight") / 2
    with pytest.raises(IncompatibleError, match=r"'2.weight' was moved by another repair.*obs_update"):
        c.repaired([FoldConstant(), SparseGPTUpdate()], model, data, plan)
    # the stationary point of the error in the kept weights, given the bias: residual and inputs are orthogonal
    both = c.repaired([FoldConstant(), OBSUpdate(damping=1e-12)], model, data, plan)
    x = torch.from_numpy(o.seen_by(model, data, "5.weight")[0])
    residual = (model[5](x) - both[5](x)).detach()
    keep = plan.masks()["5.weight"]
    assert float((residual.T @ x)[keep].abs().max()) < 1e-8 * float((model[5](x).T @ x).detach().abs().max())


@fitting
def test_dead_inputs_keep_their_weights(repair):
    """What a dead input's kept weight is does not matter, and so it stays, bit by bit."""
    model = o.seeded_(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)))
    x = o.numbers(20, 4)
    x[:, 2] = 0
    graph = trace(model, x)
    keep = torch.ones(12, dtype=torch.bool)
    keep[[0, 5]] = False
    plan = PruningPlan({"0.weight": keep}, Weight(), graph)
    student = c.repaired([repair], model, [(x, None)], plan)
    assert torch.equal(student[0].weight[:, 2], model[0].weight[:, 2])
    assert not torch.equal(student[0].weight[1, 3], model[0].weight[1, 3])
    assert torch.allclose(student[0].weight[2], model[0].weight[2], rtol=1e-12)  # a row that lost nothing


@fitting
def test_fewer_examples_than_entries(repair):
    model, data = o.convolutions(), o.batches(1, size=2)
    student = c.repaired([repair], model, data, c.cut(model, data, Weight()))
    assert all(bool(torch.isfinite(p).all()) for p in student.parameters())


@fitting
def test_left_alone(repair):
    """Transposed convolutions, and weights that two layers share."""

    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.a, self.b = nn.ConvTranspose2d(2, 4, 2), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(torch.tanh(self.a(torch.tanh(self.up(x))))).flatten(1)

    model = o.seeded_(Shared())
    data = o.batches(2)
    plan = c.cut(model, data, Weight())
    student = c.repaired([repair], model, data, plan)
    before = mask(model, plan).state_dict()
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())


def test_obs_update_refuses_what_would_take_too_long_before_it_changes_anything(monkeypatch):
    model, data = o.convolutions(), o.batches()
    plan = c.cut(model, data, Weight())
    student = mask(model, plan)
    monkeypatch.setattr(module, "LIMIT", 3 * 43**3 // 3)
    before = copy.deepcopy(student.state_dict())
    known = Known(collect(model, data, OBSUpdate.needs, graph=plan.graph), data)
    with pytest.raises(IncompatibleError, match=r"'5.weight'.*sparsegpt_update"):
        OBSUpdate().repair_(student, model, plan, known)
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    SparseGPTUpdate().repair_(student, model, plan, known)


def test_least_squares_makes_up_for_what_is_wrong_in_front():
    """It sees the student's inputs, and so leaves less error at the end than obs_update, which does not."""
    model, data = o.convolutions(), o.batches(8)
    plan = c.cut(model, data, Weight())

    def error(*repairs):
        student = c.repaired(list(repairs), model, data, plan)
        with torch.no_grad():
            return sum(float((student(x) - model(x)).square().sum()) for x, _ in data)

    assert error(LeastSquares()) < error(OBSUpdate()) < error()


def test_least_squares_uses_no_more_batches_than_asked():
    model, data = o.convolutions(), o.batches(4)
    plan = c.cut(model, data, Channel())
    few = c.repaired([LeastSquares(batches=2)], model, data, plan)
    wanted = c.repaired([LeastSquares()], model, data[:2], plan)
    assert all(torch.equal(a, b) for a, b in zip(few.parameters(), wanted.parameters(), strict=True))
    student = mask(model, plan)
    with pytest.raises(MissingEvidenceError, match="holds no batches"):
        LeastSquares().repair_(student, model, plan, Known(collect(model, None, (), graph=plan.graph), []))


def test_modes_are_put_back():
    model, data = o.convolutions(), o.batches(2)
    plan = c.cut(model, data, Channel())
    student, model = mask(model, plan).train(), model.train()
    student[1].eval()
    modes = [m.training for m in student.modules()]
    LeastSquares().repair_(student, model, plan, Known(collect(model, None, (), graph=plan.graph), data))
    assert [m.training for m in student.modules()] == modes
    assert model.training


def test_wrong_fields():
    for kind in (OBSUpdate, SparseGPTUpdate, LeastSquares):
        with pytest.raises(IncompatibleError, match="damping must be 0 or more"):
            kind(damping=-0.1)
    with pytest.raises(IncompatibleError, match="block must be 1 or more"):
        SparseGPTUpdate(block=0)
    with pytest.raises(IncompatibleError, match="batches must be 1 or more"):
        LeastSquares(batches=0)


def test_no_damping_and_too_little_data():
    model, data = o.convolutions(), o.batches(1, size=2)
    plan = c.cut(model, data, Weight())
    for repair in (OBSUpdate(damping=0.0), SparseGPTUpdate(damping=0.0)):
        with pytest.raises(IncompatibleError, match=r"is singular.*larger damping"):
            c.repaired([repair], model, data, plan)


def test_a_recipe_with_repairs_in_a_senseless_order():
    made = recipe("li2017")
    right = (FoldConstant(), OBSUpdate(), LeastSquares(), BatchNorm())
    assert isinstance(replace(made, repair=right), Recipe)
    for wrong in ((OBSUpdate(), FoldConstant()), (BatchNorm(), LeastSquares()), (BatchNorm(), FoldConstant())):
        with pytest.raises(IncompatibleError, match=r"First those that move biases.*BatchNorm|FoldConstant"):
            replace(made, repair=wrong)


def test_evidence_that_was_not_collected():
    model, data = o.convolutions(), o.batches(1)
    plan = c.cut(model, data, Channel())
    for have in (InputGram, PatchMean):
        known = Known(collect(model, data, [have], graph=plan.graph), data)
        with pytest.raises(MissingEvidenceError):
            OBSUpdate().repair_(mask(model, plan), model, plan, known)
