"""Units that single-weight pruning has emptied."""

import torch
from torch import nn

import secateur
from secateur.apply.masking import mask
from secateur.core.contracts import Known
from secateur.core.evidence import Evidence
from secateur.evidence import collect
from secateur.planning.empty import without_empty
from secateur.repair import FoldConstant


def sparse():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).double()
    with torch.no_grad():
        model[0].weight[1] = 0  # nothing makes unit 1, and its bias is 0.7: it always says 0.7
        model[0].bias[1] = 0.7
        model[2].weight[:, 3] = 0  # nothing reads unit 3
        model[2].weight[2] = 0  # nothing makes it, and it says nothing
        model[2].bias[2] = -1
    return model


def test_by_hand():
    model = sparse()
    graph = secateur.trace(model, torch.zeros(1, 5, dtype=torch.float64))
    plan = without_empty(model, graph)
    assert {name: keep.nonzero().flatten().tolist() for name, keep in plan.kept.items()} == {"0": [0, 2], "2": [0, 1]}


def test_folded_and_shrunk_it_says_the_same():
    model = sparse()
    x = torch.randn(20, 5, dtype=torch.float64)
    graph = secateur.trace(model, x[:1])
    plan = without_empty(model, graph)
    batches = [(x, torch.zeros(20, dtype=torch.long))]
    student = mask(model, plan)
    needs = FoldConstant.needs
    evidence = collect(model, batches, needs, graph=graph) if needs else Evidence({})
    FoldConstant().repair_(student, model, plan, Known(evidence, batches))
    small = secateur.shrink(student, plan)
    assert [m.out_features for m in small if isinstance(m, nn.Linear)] == [2, 2, 2]
    torch.testing.assert_close(small(x), model(x), rtol=1e-12, atol=1e-12)


def test_nothing_is_empty():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert not without_empty(model, secateur.trace(model, torch.zeros(1, 3))).kept


def test_a_layer_that_is_all_zero_keeps_what_it_must():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].weight.zero_()
    graph = secateur.trace(model, torch.zeros(1, 3))
    assert without_empty(model, graph).kept["0"].tolist() == [True, False, False, False]
