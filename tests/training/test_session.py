"""Sessions: a recipe at work in a loop of one's own."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import secateur
from secateur.apply.masking import SoftMasked, is_masked, mask, parameters_of, remask_, unmask_
from secateur.core.budget import Budget
from secateur.core.errors import BudgetError, IncompatibleError, MissingEvidenceError
from secateur.core.groups import Role
from secateur.criteria import Taylor
from secateur.granularity import Channel, Layer, Weight
from secateur.planning import plan_by_hand
from secateur.regularizers import HardConcrete
from secateur.schedules import Cubic, OneShot
from secateur.surgeries import Dynamic, Gradual, Moving, RigL, Soft
from secateur.testing import case as cases
from secateur.testing.surgery import recipe
from secateur.training import Calibration, Session, sliced
from secateur.training import session as session_module


def linear(values):
    model = nn.Sequential(nn.Linear(len(values), 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([values]))
    return model


def opened(model, how, steps=10, lr=0.1, **options):
    graph = secateur.trace(model, torch.ones(1, model[0].in_features, dtype=torch.float64))
    return Session(model, torch.optim.SGD(model.parameters(), lr=lr), how, graph=graph, steps=steps, **options)


def step(session, gradient):
    """One step against a gradient that is given for every weight of the first layer."""
    session.optimizer.zero_grad()
    (session.model[0].weight * torch.tensor([gradient], dtype=torch.float64)).sum().backward()
    session.optimizer.step()
    session.step()


def test_soft_mask_forward_and_gradient():
    model = linear([1.0, 2.0, 3.0])
    graph = secateur.trace(model, torch.ones(1, 3, dtype=torch.float64))
    plan = plan_by_hand(graph, {"0.weight": [0, 2]}, granularity=Weight())
    soft = mask(model, plan, straight_through=True)
    assert any(isinstance(m, SoftMasked) for m in soft.modules())
    assert soft[0].weight.tolist() == [[1, 0, 3]]
    soft(torch.ones(1, 3, dtype=torch.float64)).sum().backward()
    assert parameters_of(soft)["0.weight"].grad.tolist() == [[1, 1, 1]]
    assert parameters_of(soft)["0.weight"].tolist() == [[1, 2, 3]]
    assert unmask_(soft)[0].weight.tolist() == [[1, 0, 3]]


def test_remask_keeps_parameters_and_forgets_values():
    model = linear([1.0, 2.0, 3.0])
    graph = secateur.trace(model, torch.ones(1, 3, dtype=torch.float64))
    hard = mask(model, plan_by_hand(graph, {"0.weight": [0, 2]}, granularity=Weight()))
    before = parameters_of(hard)["0.weight"]
    remask_(hard, plan_by_hand(graph, {"0.weight": [1, 2]}, granularity=Weight()))
    assert parameters_of(hard)["0.weight"] is before
    assert hard[0].weight.tolist() == [[0, 0, 3]]
    remask_(hard, plan_by_hand(graph, {}, granularity=Weight()))
    assert hard[0].weight.tolist() == [[0, 0, 3]]


def test_remask_refuses_what_carries_no_mask():
    subject = cases.plain()
    names = [b.name for b in Weight().blocks(subject.graph)]
    masked = mask(subject.model, plan_by_hand(subject.graph, {names[0]: [0]}, granularity=Weight()))
    with pytest.raises(IncompatibleError, match="carries no mask"):
        remask_(masked, plan_by_hand(subject.graph, {names[1]: [0]}, granularity=Weight()))


def test_gradual_by_hand():
    """Cubic from all of eight weights to two, over four of eight steps; the least go, and stay away."""
    model = linear([8.0, 1.0, 7.0, 2.0, 6.0, 3.0, 5.0, 4.0])
    how = replace(recipe(Gradual(end=0.5, every=1)), schedule=Cubic(steps=1), budget=Budget("0.25 weights"))
    left = []
    with opened(model, how, steps=8, lr=0.0) as session:
        for _ in range(8):
            step(session, [0.0] * 8)
            left.append(int((model[0].weight != 0).sum()))
    # keep = 0.25 + 0.75 (1 - t)^3 at t = 1/4, 2/4, 3/4, 1, of eight weights, rounded down to meet the budget
    assert left == [4, 2, 2, 2, 2, 2, 2, 2]
    assert session.plan.kept["0.weight"].nonzero().flatten().tolist() == [0, 2]


def test_dynamic_by_hand():
    """Thresholds from the budget: four of eight stay, so h lies halfway between the fourth and the fifth, 4.5."""
    model = linear([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    how = recipe(Dynamic(gamma=0.0, until=1.0), keep="0.5 weights")
    with opened(model, how, steps=10, lr=1.0) as session:
        assert model[0].weight.tolist() == [[8, 7, 6, 5, 0, 0, 0, 0]]
        # 5 falls to 4.2: above 0.9 h = 4.05, so it stays; masked 4 rises to 4.9: below 1.1 h = 4.95, stays away;
        # masked 3 rises to 5: it comes back. Gradients reach masked weights as they are.
        step(session, [0, 0, 0, 0.8, -0.9, -2, 0, 0])
        assert model[0].weight.tolist() == [pytest.approx([8, 7, 6, 4.2, 0, 5, 0, 0])]
        step(session, [0, 0, 2, 0.2, 0, 0, 0, 0])  # 4.2 falls to 4.0, below 4.05; 6 to 4, too
        assert model[0].weight.tolist() == [pytest.approx([8, 7, 0, 0, 0, 5, 0, 0])]
    assert not any(isinstance(m, SoftMasked) for m in model.modules())
    assert parameters_of(model)["0.weight"].tolist() == [pytest.approx([8, 7, 0, 0, 0, 5, 0, 0])]
    assert session.plan.provenance.reached == 3 / 8


def test_masks_are_put_on_when_they_change_and_only_then(monkeypatch):
    """Most revisions of surgery on whole filters change nothing, and would cost as much as those that do."""
    put = []
    real = session_module.remask_
    monkeypatch.setattr(session_module, "remask_", lambda model, plan: put.append(plan) or real(model, plan))
    model = linear([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    with opened(model, recipe(Dynamic(gamma=0.0, until=1.0), keep="0.5 weights"), lr=1.0) as session:
        assert len(put) == 1
        step(session, [0.0] * 8)
        assert len(put) == 1
        step(session, [0, 0, 0, 0, 0, -2, 0, 0])  # the sixth rises to 5 and comes back
        assert len(put) == 2
        step(session, [0.0] * 8)
        assert len(put) == 2
        assert model[0].weight.tolist() == [[8, 7, 6, 5, 0, 5, 0, 0]]
        assert session.plan.kept["0.weight"].tolist() == [True] * 4 + [False, True, False, False]


def test_dynamic_threshold_by_deviation():
    """h = mean + c std of |W|: 3 and 1 have mean 2 and deviation 1."""
    with opened(linear([3.0, -1.0, 3.0, 1.0]), recipe(Dynamic(c=0.5), keep="1.0 weights")) as session:
        assert session.plan.kept["0.weight"].tolist() == [True, False, True, False]
        assert session.state_dict()["memory"]["surgery"]["0.weight"].item() == 2.5


def test_rigl_by_hand():
    """Four of eight alive; two of them (0.6 of four, rounded down) change places: the two least go, those with the largest gradients come."""
    model = linear([8.0, 7.0, 1.0, 2.0, 0.1, 0.1, 0.1, 0.1])
    how = recipe(RigL(share=0.6, until=1.0, every=2), keep="0.5 weights")
    with opened(model, how, steps=1000, lr=1e-9) as session:
        assert session.plan.kept["0.weight"].tolist() == [True] * 4 + [False] * 4
        step(session, [0, 0, 0, 0, 9, 9, 9, 9])  # no revision after this one
        step(session, [0, 0, 0, 0, 1, -4, 2, -3])
        assert session.plan.kept["0.weight"].tolist() == [True, True, False, False, False, True, False, True]
        assert model[0].weight.tolist() == [pytest.approx([8, 7, 0, 0, 0, 0, 0, 0])]
        step(session, [0, 0, 0, 0, 1, -4, 2, -3])
        assert model[0].weight[0, [5, 7]].abs().min() > 0, "what grew is trained"
        assert model[0].weight[0, [2, 3, 4, 6]].abs().max() == 0


def test_rigl_gradients_add_up_over_micro_batches():
    model = linear([8.0, 7.0, 1.0, 2.0, 0.1, 0.1, 0.1, 0.1])
    how = recipe(RigL(share=0.3, until=1.0, every=1), keep="0.5 weights")
    with opened(model, how, steps=1000, lr=0.0) as session:
        for gradient in ([0, 0, 0, 0, 3, 0, 2, 0], [0, 0, 0, 0, -3, 0, 2, 0]):
            (model[0].weight * torch.tensor([gradient], dtype=torch.float64)).sum().backward()
        session.optimizer.step()
        session.step()
        assert session.plan.kept["0.weight"].tolist() == [True, True, False, True, False, False, True, False]


def test_moving_by_hand():
    """S = - sum lr g w: the weight that moves away from zero stays, however small it is."""
    model = linear([5.0, 1.0])
    with opened(model, recipe(Moving(end=0.2, every=1), keep="0.5 weights"), steps=10, lr=0.1) as session:
        step(session, [1.0, -1.0])
        # the scores: -0.1 * 1 * 4.9 and -0.1 * -1 * 1.1, after the step
        assert session.state_dict()["memory"]["surgery"]["0.weight"].flatten().tolist() == pytest.approx([-0.49, 0.11])
        step(session, [0.0, 0.0])
        assert session.plan.kept["0.weight"].tolist() == [False, True]


def test_soft_filters_are_zeroed_and_may_come_back():
    subject = cases.normed()
    model = copy.deepcopy(subject.model).train()
    how = replace(recipe(Soft(), Channel(), "0.5 units"), schedule=OneShot())
    session = Session(model, torch.optim.SGD(model.parameters(), lr=0.1), how, graph=subject.graph, steps=9)
    with session:
        inputs, target = subject.batches[0]
        for number in range(9):
            session.optimizer.zero_grad()
            F.cross_entropy(model(inputs), target).backward()
            session.optimizer.step()
            session.step()
            if number % 3 == 2:
                assert not is_masked(model)
                session.epoch()
                first = next(iter(session.plan.channels.items()))
                slot = next(iter(session.graph.groups[first[0]].slots_with(Role.PRODUCES)))
                zero = model.get_parameter(slot.tensor).detach().reshape(len(first[1]), -1).abs().sum(1) == 0
                assert zero.tolist() == (~first[1]).tolist()
    assert not is_masked(model), "repairs look at what dead units say"
    secateur.shrink(mask(model, session.plan), session.plan)


@pytest.mark.parametrize("unit", [Weight(), Channel()])
def test_clipping_with_hard_masks_is_the_clipping_of_the_small_network(unit):
    """Masked entries have no gradient, so they do not enter a clipped norm."""
    subject = cases.normed()
    model = copy.deepcopy(subject.model).train()
    session = Session(
        model,
        torch.optim.SGD(model.parameters(), lr=0.1),
        recipe(Gradual(end=0.2, every=1), unit, "0.5 weights"),
        graph=subject.graph,
        steps=10,
    )
    with session:
        for _ in range(5):
            session.optimizer.zero_grad()
            F.cross_entropy(model(subject.batches[0][0]), subject.batches[0][1]).backward()
            session.optimizer.step()
            session.step()
    for name, keep in session.plan.masks().items():
        assert not bool(parameters_of(model)[name].grad[~keep].any())


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-2),
        lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
        lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    ],
)
def test_shrunk_in_mid_training_goes_on_as_the_masked_one(make):
    """Moments are sliced: ten steps masked equal five masked and five shrunk."""
    subject = cases.plain()  # without norms: Adam blows up the rounding of gradients that norms make zero
    plan = plan_by_hand(subject.graph, {subject.first().name: [0, 2, 3]})
    masked = mask(subject.model, plan).train()
    optimizer = make(masked.parameters())

    def train(model, optimizer, steps):
        for number in range(steps):
            inputs, target = subject.batches[number % len(subject.batches)]
            optimizer.zero_grad()
            F.cross_entropy(model(inputs), target).backward()
            optimizer.step()

    train(masked, optimizer, 5)
    small = secateur.shrink(masked, plan).train()
    later = sliced(optimizer, masked, small, plan)
    train(masked, optimizer, 5)
    train(small, later, 5)
    inputs = subject.batches[0][0]
    torch.testing.assert_close(masked.eval()(inputs), small.eval()(inputs), rtol=1e-9, atol=1e-11)


def test_moments_of_dead_entries_are_forgotten():
    model = linear([1.0, 2.0, 3.0, 4.0])
    how = recipe(Gradual(begin=0.0, end=0.5, every=2), keep="0.5 weights")
    graph = secateur.trace(model, torch.ones(1, 4, dtype=torch.float64))
    session = Session(model, torch.optim.Adam(model.parameters(), lr=0.1), how, graph=graph, steps=4)
    with session:
        for _ in range(2):
            step(session, [1.0, 1.0, 1.0, 1.0])
        state = session.optimizer.state[parameters_of(model)["0.weight"]]
        dead = ~session.plan.kept["0.weight"]
        assert dead.sum() == 2
        assert not state["exp_avg"].flatten()[dead].any()
        assert state["exp_avg"].flatten()[~dead].all()


def test_criteria_that_need_data_get_it():
    subject = cases.normed()
    how = replace(recipe(Gradual(end=0.5, every=0), Channel(), "0.5 units"), criterion=Taylor())
    model = copy.deepcopy(subject.model).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    session = Session(
        model, optimizer, how, graph=subject.graph, steps=2, calibration=Calibration(batches=subject.batches)
    )
    with session:
        F.cross_entropy(model(subject.batches[0][0]), subject.batches[0][1]).backward()
        optimizer.step()
        session.step()
    assert session.plan.width(subject.first().name) < subject.first().units
    bare = Session(copy.deepcopy(subject.model), optimizer, how, graph=subject.graph, steps=2)
    with bare, pytest.raises(MissingEvidenceError, match="without data"):
        bare.step()


def test_gradients_that_are_gone():
    session = opened(linear([1.0, 2.0]), recipe(RigL(every=1), keep="0.5 weights"))
    with session, pytest.raises(MissingEvidenceError, match="before zero_grad"):
        session.step()


def test_refusals():
    subject = cases.normed()
    optimizer = torch.optim.SGD(subject.model.parameters(), lr=0.1)
    how = recipe(Gradual())
    with pytest.raises(BudgetError, match="names no budget"):
        Session(subject.model, optimizer, replace(how, budget=None), graph=subject.graph, steps=3)
    with pytest.raises(IncompatibleError, match="steps=0"):
        Session(subject.model, optimizer, how, graph=subject.graph, steps=0)
    with pytest.raises(IncompatibleError, match="takes whole modules out"):
        Session(subject.model, optimizer, replace(how, granularity=Layer()), graph=subject.graph, steps=3)
    masked = mask(subject.model, plan_by_hand(subject.graph, {subject.first().name: [0]}))
    with pytest.raises(IncompatibleError, match="masked already"):
        Session(masked, optimizer, how, graph=subject.graph, steps=3)
    with pytest.raises(IncompatibleError, match="no training for it"):
        replace(how, sparsify=None)
    with pytest.raises(IncompatibleError, match="begin must be below end"):
        Gradual(begin=0.5, end=0.5)


def test_without_parts_a_session_does_nothing():
    subject = cases.normed()
    how = replace(recipe(Gradual()), surgery=None)
    model = copy.deepcopy(subject.model)
    before = copy.deepcopy(model.state_dict())
    with Session(model, torch.optim.SGD(model.parameters(), lr=0.1), how, graph=subject.graph, steps=3) as session:
        assert session.penalty().item() == 0
        session.step()
        session.epoch()
    assert session.plan is None
    assert not is_masked(model)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_session_that_cannot_begin_leaves_model_and_optimiser_alone():
    """Masks and gates are on when the surgery finds that it has no data; they must be off again."""
    subject = cases.normed()
    how = replace(
        recipe(Gradual(), Channel(), "0.5 units"), criterion=Taylor(), regularizer=HardConcrete(), surgery=Eager()
    )
    model = copy.deepcopy(subject.model)
    before, modules = copy.deepcopy(model.state_dict()), [type(m) for m in model.modules()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(MissingEvidenceError, match="without data"):
        Session(model, optimizer, how, graph=subject.graph, steps=3).__enter__()
    assert [type(m) for m in model.modules()] == modules
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert model.state_dict().keys() == before.keys()
    assert len(optimizer.param_groups) == 1


def test_what_a_regulariser_attached_leaves_the_optimiser_again():
    subject = cases.normed()
    how = replace(recipe(Gradual(every=1), Weight()), regularizer=HardConcrete())
    model = copy.deepcopy(subject.model).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with Session(model, optimizer, how, graph=subject.graph, steps=2) as session:
        assert len(optimizer.param_groups) == 2
        for _ in range(2):
            (F.cross_entropy(model(subject.batches[0][0]), subject.batches[0][1]) + session.penalty()).backward()
            optimizer.step()
            session.step()
            optimizer.zero_grad()
    assert len(optimizer.param_groups) == 1
    known = set(parameters_of(model).values())
    assert set(optimizer.state) <= known


class Eager(Gradual):
    """Decides before the first step."""

    def start(self, at):
        return at.plan_for(0.5)


class Twice(nn.Module):
    """One weight in two places."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(x).relu())


def test_dense_gradients_of_a_tied_weight_add_up_over_its_places():
    torch.manual_seed(0)
    model, x = Twice().double(), torch.randn(5, 4, dtype=torch.float64)
    graph = secateur.trace(model, x)
    how = recipe(RigL(every=1, share=0.3), keep="0.5 weights")
    session = Session(model, torch.optim.SGD(model.parameters(), lr=0.0), how, graph=graph, steps=100)
    with session:
        model(x).square().sum().backward()
        found = session._moment("surgery").gradient("a.weight")
        dense = (parameters_of(model)["a.weight"] * session.plan.kept["a.weight"].view(4, 4)).detach().requires_grad_()
        (F.linear(F.linear(x, dense).relu(), dense)).square().sum().backward()
        torch.testing.assert_close(found, dense.grad)
