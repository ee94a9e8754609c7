"""fisher_update against the surgeon's own updates, and what it leaves alone."""

import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import _cutting as c
from benchmarks.criteria.oracles import _layers as o
from benchmarks.criteria.oracles import fisher_update as oracle
from secateur.apply.masking import mask
from secateur.core.contracts import Known
from secateur.core.errors import IncompatibleError
from secateur.core.plan import PruningPlan
from secateur.evidence import ExampleGradient, collect
from secateur.granularity import Channel, Layer, Weight
from secateur.graph.trace import trace
from secateur.repair import FisherUpdate, FoldConstant
from secateur.testing import case as cases


def test_against_one_weight_after_another():
    assert oracle.error() < 1e-10


def test_one_gradient_by_hand():
    """One example, y = w . x, and w_0 goes: what stays moves along x so that the output is nearly what it was."""
    model = nn.Linear(3, 1, bias=False).double()
    weight, x, damping = torch.tensor([2.0, 1.0, -1.0]).double(), torch.tensor([[1.0, 2.0, -3.0]]).double(), 0.5
    model.weight.data.copy_(weight)
    graph = trace(model, x)
    plan = PruningPlan({"weight": torch.tensor([False, True, True])}, Weight(), graph)
    student = mask(model, plan)
    evidence = collect(model, [(x, None)], [ExampleGradient], graph=graph, loss=lambda y, _: y.sum())
    FisherUpdate(damping=damping).repair_(student, model, plan, Known(evidence, []))
    # the ridge regression of the loss of 2 on the gradients 2 and -3: (4 + 9 + 0.5) share = 2
    share = 2.0 / 13.5
    assert student.weight.tolist()[0] == pytest.approx([0.0, 1 + 2 * share, -1 - 3 * share], rel=1e-12)


def test_what_another_repair_has_moved_counts():
    """The update after a repair is the one that its change of a bias asks for, by dense algebra."""
    model, data = o.convolutions(), o.batches()
    plan = c.cut(model, data, Channel())
    folded = c.repaired([FoldConstant()], model, data, plan)
    both = c.repaired([FoldConstant(), FisherUpdate(block=0, damping=1e-3)], model, data, plan)
    alone = c.repaired([FisherUpdate(block=0, damping=1e-3)], model, data, plan)
    names = [name for name, _ in model.named_parameters()]
    rows = torch.from_numpy(oracle.gradients(model, data, names))
    of = [oracle._of(plan, name, model) for name in names]
    stays, counts = (torch.cat([torch.from_numpy(pair[n]) for pair in of]) for n in (0, 1))

    def flat(network):
        return torch.cat([torch.from_numpy(oracle._effective(network, name)).flatten() for name in names])

    moved = (flat(folded) - flat(model)) * counts
    fisher = rows.T @ rows / len(rows)
    inner = fisher[stays][:, stays] + 1e-3 * torch.eye(int(stays.sum()), dtype=torch.float64)
    wanted = flat(folded)
    wanted[stays] -= torch.linalg.solve(inner, (fisher @ moved)[stays])
    assert torch.allclose(flat(both), wanted, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(flat(both), flat(alone), rtol=1e-3)


def test_whole_residual_blocks_are_left():
    subject = cases.residual()
    graph = trace(subject.model, subject.batches[0][0][:1], depth=True)
    plan = PruningPlan({"layers": torch.tensor([False] + [True] * (len(graph.blocks) - 1))}, Layer(), graph)
    student = mask(subject.model, plan)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    evidence = collect(subject.model, subject.batches, FisherUpdate.needs, graph=graph)
    FisherUpdate().repair_(student, subject.model, plan, Known(evidence, []))
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())


@pytest.mark.parametrize("wrong", [{"block": -1}, {"damping": 0.0}])
def test_wrong_fields(wrong):
    with pytest.raises(IncompatibleError, match="block must be 0 or more and damping above 0"):
        FisherUpdate(**wrong)
