import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import fold_constant as oracle
from secateur.apply.masking import mask, unmask_
from secateur.core.contracts import Known
from secateur.core.errors import MissingEvidenceError
from secateur.core.evidence import Evidence
from secateur.core.plan import PruningPlan
from secateur.core.rng import generator
from secateur.evidence import collect
from secateur.granularity import Channel, Weight
from secateur.graph.trace import trace
from secateur.repair import FoldConstant


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def repaired(model, batches, cut):
    """`model` with `cut` (group name to units that go), before and after the repair."""
    graph = trace(model, batches[0][0])
    kept = {name: torch.tensor([u not in gone for u in range(graph.groups[name].units)]) for name, gone in cut.items()}
    plan = PruningPlan(kept, Channel(), graph)
    student, before = mask(model, plan), mask(model, plan)
    known = Known(collect(model, batches, FoldConstant.needs, graph=graph), batches)
    FoldConstant().repair_(student, model, plan, known)
    return before, student


def constant_(layer, channels):
    """Make some outputs of `layer` constant, each at its own level."""
    dim = 1 if getattr(layer, "transposed", False) else 0
    with torch.no_grad():
        for number, channel in enumerate(channels):
            layer.weight.movedim(dim, 0)[channel] = 0
            layer.bias[channel] = 0.5 + number


CONSUMERS = {
    "linear": lambda: nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 3)),
    "conv1d": lambda: nn.Sequential(nn.Conv1d(4, 8, 3), nn.Sigmoid(), nn.Conv1d(8, 3, 3)),
    "conv2d": lambda: nn.Sequential(nn.Conv2d(4, 8, 3), nn.Sigmoid(), nn.Conv2d(8, 3, 3, stride=2)),
    "conv3d": lambda: nn.Sequential(nn.Conv3d(4, 8, 1), nn.Sigmoid(), nn.Conv3d(8, 3, 2)),
    "grouped": lambda: nn.Sequential(nn.Conv2d(4, 8, 3), nn.Sigmoid(), nn.Conv2d(8, 6, 3, groups=2)),
    # a kernel of one: a larger one meets fewer inputs at the border, which the formula leaves out
    "transposed": lambda: nn.Sequential(nn.Conv2d(4, 8, 3), nn.Sigmoid(), nn.ConvTranspose2d(8, 3, 1)),
    "transposed grouped": lambda: nn.Sequential(
        nn.Conv2d(4, 8, 3), nn.Sigmoid(), nn.ConvTranspose2d(8, 6, 1, groups=2)
    ),
    "flattened": lambda: nn.Sequential(nn.Conv2d(4, 8, 5), nn.Sigmoid(), nn.Flatten(), nn.Linear(8 * 4, 3)),
}
SHAPES = {"linear": (5, 4), "conv1d": (2, 4, 9), "conv3d": (2, 4, 3, 3, 3)}


@pytest.mark.parametrize("kind", CONSUMERS)
def test_exact_where_removed_channels_are_constant(kind):
    model = CONSUMERS[kind]().double()
    grouped = "grouped" in kind
    units, channels = ([1, 3], [1, 5, 3, 7]) if grouped else ([1, 3, 6], [1, 3, 6])
    constant_(model[0], channels)
    batches = [(noise(*SHAPES.get(kind, (2, 4, 6, 6)), seed=s), None) for s in range(2)]
    before, after = repaired(model, batches, {"0": units})
    for x, _ in batches:
        assert torch.allclose(after(x), model(x), rtol=1e-10, atol=1e-10)
        assert not torch.allclose(before(x), model(x), atol=1e-2)


POINTWISE = {
    "linear": lambda: nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 6)),
    "conv": lambda: nn.Sequential(nn.Conv2d(4, 8, 3), nn.Sigmoid(), nn.Conv2d(8, 6, 1)),
    "whole image": lambda: nn.Sequential(nn.Conv2d(4, 8, 5), nn.AdaptiveAvgPool2d(1), nn.Sigmoid(), nn.Conv2d(8, 6, 1)),
    "grouped": lambda: nn.Sequential(nn.Conv2d(4, 8, 3), nn.Sigmoid(), nn.Conv2d(8, 6, 1, groups=2)),
    "transposed": lambda: nn.Sequential(nn.Conv2d(4, 8, 3), nn.Sigmoid(), nn.ConvTranspose2d(8, 6, 1)),
    "flattened": lambda: nn.Sequential(nn.Conv2d(4, 8, 5), nn.Sigmoid(), nn.Flatten(), nn.Linear(8 * 4, 6)),
}


@pytest.mark.parametrize("kind", POINTWISE)
def test_the_bias_is_the_least_squares_optimum(kind):
    """Where every place is seen equally often, no other bias leaves a smaller squared error: solve for it and see."""
    model = POINTWISE[kind]().double()
    batches = [(noise(*SHAPES.get(kind, (2, 4, 6, 6)), seed=s), None) for s in range(2)]
    before, after = repaired(model, batches, {"0": [0, 2]})
    channel = -1 if kind == "linear" else 1
    error = torch.cat([(model(x) - before(x)).detach() for x, _ in batches]).movedim(channel, 0).flatten(1)
    best = torch.linalg.lstsq(torch.ones(error.shape[1], 1, dtype=torch.float64), error.T).solution[0]
    assert torch.allclose(after[-1].bias - before[-1].bias, best, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_transposed_kernels_that_tile(stride, groups):
    """Kernel = stride: every output place meets one kernel entry, so on average the kernel's mean, not its sum."""
    model = nn.Sequential(
        nn.Conv2d(4, 8, 1), nn.Sigmoid(), nn.ConvTranspose2d(8, 4, stride, stride=stride, groups=groups)
    ).double()
    batches = [(noise(3, 4, 4, 4), None)]
    _, after = repaired(model, batches, {"0": [0, 2]})
    x = batches[0][0]
    residual = (model(x) - after(x)).detach().movedim(1, 0).flatten(1).mean(1)
    assert torch.allclose(residual, torch.zeros_like(residual), atol=1e-10)


def test_several_groups_into_one_consumer():
    class Cat(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.out = nn.Linear(2, 3), nn.Linear(2, 4), nn.Linear(7, 2)

        def forward(self, x):
            return self.out(torch.sigmoid(torch.cat([self.a(x), self.b(x)], -1)))

    model = Cat().double()
    constant_(model.a, [1])
    constant_(model.b, [0, 3])
    x = noise(6, 2)
    _, after = repaired(model, [(x, None)], {"a": [1], "b": [0, 3]})
    assert torch.allclose(after(x), model(x), rtol=1e-12)


def test_dead_outputs_of_the_consumer_stay_dead():
    model = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 2)).double()
    x = noise(6, 3)
    _, after = repaired(model, [(x, None)], {"0": [1], "2": [0, 3]})
    assert not after[2](noise(1, 4, seed=3))[:, [0, 3]].any()
    assert after[2].bias[[1, 2]].ne(model[2].bias[[1, 2]]).all()


def test_a_second_round_does_not_fold_twice():
    model = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2)).double()
    x = noise(6, 3)
    _, first = repaired(model, [(x, None)], {"0": [1]})
    dense = unmask_(first)
    bias = dense[2].bias.detach().clone()
    _, second = repaired(dense, [(x, None)], {"0": [1]})
    assert torch.allclose(second[2].bias, bias, rtol=1e-12)


def test_no_bias_is_left_alone():
    model = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2, bias=False)).double()
    before, after = repaired(model, [(noise(6, 3), None)], {"0": [1]})
    assert before.state_dict().keys() == after.state_dict().keys()
    assert all(torch.equal(v, after.state_dict()[n]) for n, v in before.state_dict().items())


def test_single_weights_are_left_alone():
    model = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2)).double()
    graph = trace(model, noise(1, 3))
    plan = PruningPlan({"2.weight": torch.arange(8) > 2}, Weight(), graph)
    student = mask(model, plan)
    evidence = collect(model, [(noise(6, 3), None)], FoldConstant.needs, graph=graph)
    FoldConstant().repair_(student, model, plan, Known(evidence, []))
    assert torch.equal(student[2].bias, model[2].bias)


def test_needs_evidence():
    model = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2)).double()
    plan = PruningPlan({}, Channel(), trace(model, noise(1, 3)))
    with pytest.raises(MissingEvidenceError, match="InputMean"):
        FoldConstant().repair_(mask(model, plan), model, plan, Known(Evidence({}), []))


def test_against_the_oracle():
    assert oracle.error() < 1e-12
