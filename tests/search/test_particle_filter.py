"""Strided kernels: rows of the lowered product, and the search for masks against all masks and against chance."""

from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from secateur.apply.masking import mask
from secateur.core.budget import Budget
from secateur.core.errors import IncompatibleError
from secateur.core.scores import Scope, Scores
from secateur.granularity import Channel, IntraKernel, Shape, Weight
from secateur.graph.trace import trace
from secateur.measure import lowered_rows
from secateur.planning import plan
from secateur.search import ParticleFilter, particle_filter

INPUTS, STRIDE = 5, 3


def floats(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def model():
    net = nn.Sequential(nn.Conv2d(INPUTS, 4, 3, padding=1), nn.Flatten()).double()
    with torch.no_grad():
        net[0].weight.copy_(floats(4, INPUTS, 3, 3))
        net[0].weight[:, 1:] += 0.7 * floats(4, INPUTS, 3, 3, seed=1)[:, 1:].roll(1, 3)  # so that offsets interact
    return net


@pytest.fixture(scope="module")
def images():
    return floats(3, INPUTS, 6, 6, seed=2) + floats(3, 1, 6, 6, seed=3)  # channels that have much in common


def chosen(model, unit, budget="1 weights"):
    graph = trace(model, torch.zeros(1, INPUTS, 6, 6, dtype=torch.float64))
    (block,) = unit.blocks(graph)
    saliency = {block.name: model[0].weight.detach().abs()}
    return plan(
        graph, Scores({block.name: unit.reduce(block, saliency)}, unit, "magnitude", Scope.GLOBAL), Budget(budget)
    )


@pytest.mark.parametrize(
    ("unit", "budget", "rows"),
    [
        (IntraKernel(stride=3), "1 weights", 15),
        (IntraKernel(stride=9), "1 weights", 5),
        (Shape(), "0.4 weights", 18),
    ],
    ids=repr,
)
def test_the_product_loses_rows(model, images, unit, budget, rows):
    """A product of really smaller matrices gives what the masked convolution gives."""
    made = chosen(model, unit, budget)
    kept = lowered_rows(made)["0.weight"]
    assert (len(kept), int(kept.sum())) == (45, rows)
    masked = mask(model, made)
    patches = F.unfold(images, 3, padding=1)[:, kept]
    weight = masked[0].weight.detach().flatten(1)[:, kept]
    assert (patches.shape[1], weight.shape[1]) == (rows, rows)
    product_ = (weight @ patches).flatten(1) + model[0].bias.detach().repeat_interleave(36)
    assert torch.allclose(product_, masked(images), rtol=1e-12, atol=1e-12)


def test_unequal_offsets(model):
    """Nine places and a stride of two: five places at offset 0 or four at offset 1, and every channel has one of them."""
    made = chosen(model, IntraKernel(stride=2))
    kept = lowered_rows(made)["0.weight"].view(INPUTS, 9)
    for row in kept.tolist():
        assert row in ([n % 2 == 0 for n in range(9)], [n % 2 == 1 for n in range(9)])
    assert made.provenance.reached == pytest.approx(float(kept.sum()) / 45)


def test_single_weights_leave_every_row(model):
    made = chosen(model, Weight(), "0.9 weights")
    assert bool(lowered_rows(made)["0.weight"].all())


@pytest.fixture(scope="module")
def every_error(model, images):
    """Squared output error of all 3 ** 5 masks, without the library: sums over places that go."""
    rows = F.unfold(images, 3, padding=1).movedim(1, 0).flatten(1)
    weight = model[0].weight.detach().flatten(1)
    place = torch.arange(9) % STRIDE
    found = {}
    for offsets in product(range(STRIDE), repeat=INPUTS):
        gone = torch.cat([place != offset for offset in offsets]).double()
        found[offsets] = float(((weight * gone) @ rows).square().sum())
    return found


def quality(model, images):
    wanted = model(images).detach()
    return lambda masked: -float((masked(images) - wanted).square().sum().detach())


class Counting:
    def __init__(self, judge):
        self.judge, self.calls = judge, 0

    def __call__(self, masked):
        self.calls += 1
        return self.judge(masked)


def test_finds_the_best_of_all_masks(model, images, every_error):
    """At 60 evaluations, from four seeds: nearer to the best of 243 masks than as many masks by lot."""
    start = chosen(model, IntraKernel(stride=STRIDE))
    errors = torch.tensor(list(every_error.values()), dtype=torch.float64)
    best = float(errors.min())
    settings = ParticleFilter(particles=10, rounds=6)
    found, by_lot = [], []
    for seed in range(4):
        judge = Counting(quality(model, images))
        made = particle_filter(model, start, judge, settings=settings, seed=seed)
        assert judge.calls <= 60
        offsets = tuple(made.kept["0.weight"].view(INPUTS, STRIDE).int().argmax(1).tolist())
        found.append(every_error[offsets])
        lot = torch.randint(len(errors), (60,), generator=torch.Generator().manual_seed(seed))
        by_lot.append(float(errors[lot].min()))
    assert min(found) == pytest.approx(best, rel=1e-9)
    assert sum(found) / sum(by_lot) < 1
    assert sum(found) / 4 <= 1.05 * best


def test_never_worse_than_its_start_and_repeatable(model, images):
    start = chosen(model, IntraKernel(stride=STRIDE))
    judge, told = quality(model, images), []
    settings = ParticleFilter(particles=4, rounds=2, crossover=False)
    made, again = (
        particle_filter(model, start, judge, settings=settings, seed=3, progress=lambda *a: told.append(a))
        for _ in range(2)
    )
    assert made == again
    assert judge(mask(model, made)) >= judge(mask(model, start))
    assert told[:8] == [("particle filter", n, 8) for n in range(1, 9)]
    assert made.provenance.allocation == f"Uniform(), then {settings!r}"
    assert bool((made.kept["0.weight"].view(INPUTS, STRIDE).sum(1) == 1).all())


def test_of_equal_masks_the_start_stays(model):
    start = chosen(model, IntraKernel(stride=STRIDE))
    made = particle_filter(model, start, lambda _: {"top1": 0.5, "top5": 1.0})
    assert made == start


def test_channels_too():
    """Any granularity will do: as many channels stay as in the start."""
    net = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2)).double()
    x = floats(8, 3)
    graph = trace(net, x)
    values = {"0": torch.arange(6.0)}
    start = plan(graph, Scores(values, Channel(), "numbers", Scope.GLOBAL), Budget("0.5 units"))
    wanted = net(x).detach()
    judge = lambda m: -float((m(x) - wanted).square().sum().detach())  # noqa: E731
    made = particle_filter(net, start, judge, settings=ParticleFilter(particles=8, rounds=6))
    assert made.width("0") == 3
    assert judge(mask(net, made)) >= judge(mask(net, start))


@pytest.mark.parametrize("wrong", [{"particles": 1}, {"rounds": 0}, {"perturb": 0.0}])
def test_unknown_settings(wrong):
    with pytest.raises(IncompatibleError, match="particles must be"):
        ParticleFilter(**wrong)
