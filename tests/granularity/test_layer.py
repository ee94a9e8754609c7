import pytest
import torch
from torch import nn

from secateur.bench.zoo.resnet import BasicBlock
from secateur.core.budget import Budget
from secateur.core.errors import IncompatibleError, UnknownNameError, UnsupportedError
from secateur.core.plan import PruningPlan
from secateur.core.scores import Scope, Scores
from secateur.criteria import FPGM, Magnitude
from secateur.evidence import collect
from secateur.granularity import Layer
from secateur.graph.trace import trace
from secateur.planning import plan, score
from secateur.planning.check import check
from secateur.testing import case as cases


@pytest.fixture
def residual():
    return cases.residual()


def test_one_block_of_modules(residual):
    (block,) = Layer().blocks(residual.graph)
    assert (block.name, block.units, block.modules, block.minimum) == ("layers", 3, ("2", "3", "5"), 0)
    own = {n for n, _ in residual.model.named_parameters() if n.partition(".")[0] in ("2", "3", "5")}
    assert set(block.tensors) == own
    assert Layer(minimum=2).blocks(residual.graph)[0].minimum == 2
    assert Layer(minimum=9).blocks(residual.graph)[0].minimum == 3


def test_scores_are_sums_over_modules(residual):
    evidence = collect(residual.model, None, Magnitude.needs, graph=residual.graph)
    found = score(residual.graph, Magnitude(), evidence, granularity=Layer()).values["layers"]
    by_hand = [
        sum(float(p.detach().abs().sum()) for p in residual.model.get_submodule(name).parameters())
        for name in ("2", "3", "5")
    ]
    assert found.tolist() == pytest.approx(by_hand, rel=1e-12)


def test_masks_are_zeros_for_what_goes(residual):
    (block,) = Layer().blocks(residual.graph)
    masks = Layer().expand(residual.graph, block, torch.tensor([True, False, True]))
    parameters = dict(residual.model.named_parameters())
    assert set(masks) == {n for n in parameters if n.startswith("3.")}
    assert all(mask.shape == parameters[n].shape and not bool(mask.any()) for n, mask in masks.items())


def test_names_that_begin_alike_are_told_apart():
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), *(BasicBlock(4, 4, 1) for _ in range(20)))
    whole = PruningPlan({}, Layer(), trace(model, torch.randn(2, 2, 6, 6), depth=True))
    assert whole.graph.blocks == tuple(str(n) for n in range(2, 22))
    gone = whole.keep("layers", range(1, 20))  # without "2", and with "20" and "21"
    assert {n.partition(".")[0] for n in gone.masks()} == {"2"}
    assert {n.partition(".")[0] for n in gone.left.tensors} == {"0"} | {str(n) for n in range(3, 22)}
    assert {op.module.partition(".")[0] for op in gone.left.ops} == {"0"} | {str(n) for n in range(3, 22)}


def test_what_cannot_be():
    with pytest.raises(IncompatibleError, match="minimum=-1"):
        Layer(minimum=-1)
    with pytest.raises(IncompatibleError, match="scores whole channels"):
        check(FPGM(), Layer())
    graph = cases.normed().graph
    assert Layer().blocks(graph) == []
    with pytest.raises(UnsupportedError, match="no module of this model can go as a whole"):
        plan(graph, Scores({}, Layer(), "", Scope.GLOBAL), Budget(0.5))
    with pytest.raises(UnknownNameError, match="no block is called 'layers'"):
        PruningPlan({}, Layer(), graph).keep("layers", [0])
