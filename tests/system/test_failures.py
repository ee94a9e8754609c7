"""S4, the hard half: the model is untouched also when a step raises midway."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from secateur.allocation import Uniform
from secateur.apply import masking, shrinking
from secateur.apply.masking import mask, mask_
from secateur.apply.shrinking import shrink
from secateur.core.budget import Budget
from secateur.core.errors import IncompatibleError, TraceError, VerificationError
from secateur.criteria import Taylor
from secateur.evidence import collect
from secateur.granularity import Channel
from secateur.graph import cut, probe
from secateur.graph.trace import trace
from secateur.testing.models import TINY
from secateur.testing.system import prepare, random_plan, squared, untouched

NETWORK = TINY["attention"]


class Boom(Exception):
    pass


@pytest.fixture
def prepared():
    found = prepare(NETWORK)
    model = copy.deepcopy(found.model).train()
    squared(found.examples[0].call(model)).backward()
    model.register_forward_hook(lambda *_: None)
    return model, found


def explode_on(monkeypatch, place, name, call=1):
    """The `call`-th use of `place.name` raises."""
    original, count = getattr(place, name), [0]

    def wrapper(*args, **kwargs):
        count[0] += 1
        if count[0] == call:
            raise Boom
        return original(*args, **kwargs)

    monkeypatch.setattr(place, name, wrapper)


@pytest.mark.parametrize("call", [1, 3])
@pytest.mark.parametrize(
    ("step", "place", "name"),
    [
        (trace, probe, "find_fault"),
        (trace, probe, "cut_"),
        (mask, parametrize, "register_parametrization"),
        (mask, masking, "make_live_"),
        (shrink, cut, "_select"),
        (shrink, masking, "make_live_"),
    ],
)
def test_raising_midway(prepared, monkeypatch, step, place, name, call):
    model, found = prepared
    argument = NETWORK.example() if step is trace else random_plan(found.graph).keep("embed", range(7))
    with untouched(model):
        explode_on(monkeypatch, place, name, call)
        with pytest.raises((Boom, VerificationError)):
            step(model, argument)
            if name in ("find_fault", "cut_"):
                raise Boom  # tracing tries fewer cuts than `call`


def test_masked_model_survives_a_failing_shrink(prepared, monkeypatch):
    model, found = prepared
    plan = random_plan(found.graph)
    masked = mask(model, plan)
    with untouched(masked):
        explode_on(monkeypatch, shrinking, "cut_")
        with pytest.raises(Boom):
            shrink(masked, plan)


def test_collect_with_a_failing_loss(prepared):
    model, found = prepared
    calls = []

    def loss(output, target):
        calls.append(1)
        if len(calls) == 2:
            raise Boom
        return squared(output)

    with untouched(model), pytest.raises(Boom):
        collect(model, found.batches, Taylor.needs, graph=found.graph, loss=loss)


def test_forward_that_fails_after_a_cut_only(prepared):
    class Picky(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 3)

        def forward(self, x):
            x = self.a(x)
            torch.rand(1)
            if x.shape[1] != 6:
                raise Boom("only six")
            return self.b(x)

    model = Picky()
    with untouched(model):
        graph = trace(model, torch.zeros(2, 4))
    assert "only six" in graph.groups["a"].pinned


def test_forward_that_always_fails():
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 6)
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, x):
            self.seen += 1
            torch.rand(1)
            x = self.a(x)
            raise Boom("always")

    model = Broken()
    with untouched(model), pytest.raises(TraceError, match="always"):
        trace(model, torch.zeros(2, 4))


def test_a_plan_for_another_model(prepared):
    model, _ = prepared
    other = random_plan(prepare(TINY["chain"]).graph)
    for step in (mask, mask_, shrink, shrinking.shrink_):
        with untouched(model), pytest.raises(IncompatibleError, match="fingerprint"):
            step(model, other)


def test_inputs_are_untouched():
    class Writes(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 3)

        def forward(self, x):
            return self.b(self.a(x.mul_(2)).relu_())

    x = torch.ones(2, 4, dtype=torch.float64)
    version = x._version
    model = Writes().double()
    graph = trace(model, x)
    shrink(model, random_plan(graph))
    assert torch.equal(x, torch.ones(2, 4, dtype=torch.float64)) and x._version == version


def test_planning_touches_no_global_state(prepared):
    model, found = prepared
    with untouched(model):
        found.plan(Taylor(), Channel(), Budget(0.5), Uniform())
