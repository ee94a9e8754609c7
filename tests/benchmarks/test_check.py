"""The check of one model: right networks pass, every kind of wrong one is told apart."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

import secateur
from benchmarks.models import strong
from benchmarks.models.case import Built
from benchmarks.models.check import Subject, outcome, recheck, structure, training
from benchmarks.models.faithful import faults, portrait, unsettle_
from benchmarks.models.plans import allowed, heads, least, plans, ranked, unequal, uniform
from secateur.bench.zoo.vit import ViT
from secateur.core.groups import Group, Role


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.drop = nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12), nn.Dropout(0.5)
        self.second, self.head = nn.Conv2d(12, 8, 3), nn.Linear(8, 5)

    def forward(self, x):
        x = self.drop(torch.sigmoid(self.norm(self.first(x))))
        return self.head(torch.relu(self.second(x)).mean((2, 3)))


def draw(seed):
    return torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def subject():
    built = Built(Net(), draw, "")
    found = strong.filled(lambda: copy.deepcopy(built.model), draw(1), seed=0)
    return Subject(built, secateur.trace(built.model, draw(0)), found, trains=False)


def spoilt(graph, role, change):
    """The graph with one slot of its first group changed."""
    name, group = next(iter(graph.cuttable.items()))
    slots = tuple(change(s) if s.role is role else s for s in group.slots)
    return replace(graph, groups={**graph.groups, name: replace(group, slots=slots)})


def test_a_right_graph_passes_every_plan(subject):
    for make in plans(2).values():
        found = outcome(subject, make)
        assert found["status"] == found["recheck"]["status"] == "equal"
        assert found["difference"] < 1e-5 and found["recheck"]["difference"] < 1e-12  # in float32, in float64
        assert 0 < found["macs"] < 0.6 and 0 < found["params"] < 1


def test_heads_are_cut_by_a_graph_of_heads():
    built = Built(ViT(size=8, patch=4, width=12, heads=4, depth=1, classes=3), lambda seed: torch.randn(2, 3, 8, 8), "")
    filled = strong.filled(lambda: copy.deepcopy(built.model), built.draw(1), seed=0)
    graph = secateur.trace(built.model, built.draw(0), heads=True)
    made = heads(graph)
    assert [int(keep.sum()) for keep in made.kept.values()] == [2]
    found = outcome(Subject(built, graph, filled, trains=False), heads)
    assert found["status"] == found["recheck"]["status"] == "equal"


def test_a_misaligned_graph_differs(subject):
    graph = spoilt(subject.graph, Role.CONSUMES, lambda s: replace(s, index=s.index.flip(0)))
    found = outcome(replace(subject, graph=graph), uniform)
    assert found["status"] == found["recheck"]["status"] == "differs"
    assert found["difference"] > 1e-3 and found["recheck"]["difference"] > 1e-3


def test_a_graph_that_forgets_a_consumer_raises(subject):
    graph = spoilt(subject.graph, Role.CONSUMES, lambda s: replace(s, tensor="head.bias", index=s.index[:, :0], dim=0))
    found = outcome(replace(subject, graph=graph), uniform)
    assert found["status"] == found["recheck"]["status"] == "raises"
    assert "does not run" in found["error"]


def test_nothing_to_cut(subject):
    pinned = {name: replace(g, pinned="by hand") for name, g in subject.graph.groups.items()}
    assert outcome(replace(subject, graph=replace(subject.graph, groups=pinned)), uniform) == {
        "status": "nothing to cut"
    }


def test_a_network_without_numbers_is_unproven(subject):
    assert recheck(replace(subject, strong=None), uniform(subject.graph)) == {"status": "unproven"}


def test_training_mode_is_compared_once_nothing_drops(subject):
    assert training(subject.strong, subject.built) == "shapes"
    strong.still_(subject.strong.model)
    assert training(subject.strong, subject.built) == "answers"
    assert outcome(replace(subject, trains=True), uniform)["recheck"]["training"] is True


def test_structure(subject):
    found = structure(subject.graph)
    params = 12 * 27 + 12 + 24 + 8 * 108 + 8 + 45
    assert found["prunable"] == pytest.approx(1 - (27 + 1 + 2 + 9 + 1 + 1 * 5 + 5) / params)
    assert found["cuttable"] == 2
    assert ("is an output of the model", 5) in found["pinned"]


@pytest.mark.parametrize(
    ("multiple", "minimum", "wanted", "width"),
    [(1, 1, 6, 6), (4, 1, 7.9, 4), (4, 1, 0.3, 4), (1, 3, 1, 3), (4, 6, 1, 8), (16, 1, 5, 12), (1, 1, 99, 12)],
)
def test_allowed_widths(multiple, minimum, wanted, width):
    assert allowed(Group("g", 12, (), multiple=multiple, minimum=minimum), wanted) == width


def test_plans_keep_what_they_say(subject):
    graph = subject.graph
    assert {name: int(keep.sum()) for name, keep in uniform(graph).kept.items()} == {
        "first": 6,
        "second": 4,
    }
    for seed in range(4):
        assert all(0.1 < keep.double().mean() <= 0.8 for keep in unequal(graph, seed).kept.values())
    assert ranked(graph).provenance.reached <= 0.5
    assert least(graph) == {"first": 1, "second": 1}


def test_a_cut_keeps_flags_ties_and_gradients(subject):
    model = unsettle_(Net())
    built = Built(model, draw, "")
    small = secateur.shrink(model, uniform(subject.graph), verify=False)
    assert faults(built, small) == {"flags": "", "ties": "", "backward": ""}
    small.train()
    small.first.weight.requires_grad_(True)
    assert faults(built, small)["flags"] == "first.training is True, was False"


def test_a_lost_tie_and_a_lost_gradient_are_seen():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))

    model = Tied()
    built = Built(model, lambda seed: torch.randn(2, 4), "")
    loose = copy.deepcopy(model)
    loose.b.weight = nn.Parameter(loose.a.weight.clone())
    assert faults(built, loose)["ties"] == "b.weight is b.weight, was a.weight"
    deaf = copy.deepcopy(model)
    deaf.a.forward = lambda x: x
    assert faults(built, deaf)["backward"] == "a.bias is False, was True"


@pytest.mark.parametrize(
    "touch",
    [
        lambda m: m.first.weight.data[0, 0, 0, 0].add_(1e-6),
        lambda m: m.norm.running_mean.add_(1e-6),
        lambda m: m.second.bias.requires_grad_(False),
        lambda m: m.head.eval(),
        lambda m: m.head.register_forward_hook(lambda *_: None),
        lambda m: setattr(m.first, "out_channels", 6),
        lambda m: setattr(m.first.weight, "grad", torch.zeros_like(m.first.weight)),
    ],
)
def test_a_portrait_shows_every_touch(touch):
    model = Net()
    before = portrait(model)
    assert portrait(model) == before
    touch(model)
    assert portrait(model) != before
