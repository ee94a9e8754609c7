import pytest
import torch
from torch import nn

from secateur.allocation import Alive, Global
from secateur.core.budget import Budget
from secateur.core.scores import Scope, Scores
from secateur.granularity import Channel, Layer, Weight
from secateur.graph.trace import trace
from secateur.planning import Constraints, plan
from secateur.testing import case as cases


def scored(granularity, **values):
    return Scores({n: torch.tensor(v).double() for n, v in values.items()}, granularity, "by hand", Scope.GROUP)


def graph():
    model = nn.Sequential()
    model.a, model.b, model.c = nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 1)
    return trace(model, torch.zeros(1, 2))


def test_zeros_go_and_nothing_else():
    found = plan(
        graph(), scored(Channel(), a=[0.0, 3.0, 0.0, 1e-9], b=[1.0, 1.0, 1.0, 0.0]), Budget("1 units"), Alive()
    )
    assert {n: k.tolist() for n, k in found.kept.items()} == {
        "a": [False, True, False, True],
        "b": [True, True, True, False],
    }


def test_the_budget_is_a_ceiling():
    scores = scored(Channel(), a=[0.0, 3.0, 2.0, 1.0], b=[4.0, 5.0, 6.0, 0.0])
    found = plan(graph(), scores, Budget("0.5 units"), Alive())
    assert {n: k.tolist() for n, k in found.kept.items()} == {"a": [False, True, False, False], "b": [True, True, True, False]}  # fmt: skip


def test_something_stays_and_widths_are_allowed():
    found = plan(
        graph(),
        scored(Channel(), a=[0.0, 0.0, 0.0, 0.0], b=[1.0, 1.0, 1.0, 0.0]),
        Budget("1 units"),
        Alive(),
        constraints=Constraints(multiple=2),
    )
    assert found.width("a") == 2
    assert found.width("b") == 4


def test_whole_blocks():
    subject = cases.residual()
    scores = scored(Layer(), layers=[0.0, 2.0, 0.0])
    assert plan(subject.graph, scores, Budget("1 params"), Alive()).removed == (subject.graph.blocks[0], subject.graph.blocks[2])  # fmt: skip
    scores = Scores(scores.values, Layer(), "by hand", Scope.GLOBAL)
    assert plan(subject.graph, scores, Budget("1 params"), Global()).removed == ()


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_single_weights(share):
    values = {"a.weight": [0.0] * 4 + [1.0] * 4, "b.weight": [0.0] * 16, "c.weight": [1.0, 0.0, 0.0, 0.0]}
    found = plan(graph(), scored(Weight(), **values), Budget(share, "weights"), Alive())
    assert {n: int(k.sum()) for n, k in found.kept.items()} == {"a.weight": 4, "b.weight": 1, "c.weight": 1}
