"""Small modules that were once cut wrongly: found by random networks and by hand, each reduced to what matters."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from secateur.apply.masking import mask, unmask_
from secateur.apply.shrinking import shrink
from secateur.apply.verify import difference, outputs, strengthen_, verify
from secateur.core.errors import IncompatibleError
from secateur.core.example import Example
from secateur.graph.trace import trace
from secateur.planning import plan_by_hand
from secateur.testing.system import check_clean, check_cost, check_dead_units, random_plan


class Net(nn.Module):
    """A forward function with layers."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def floats(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def traced(function, *shape, heads=False, **parts):
    model = strengthen_(Net(function, **parts)).eval()
    return model, trace(model, floats(*shape), heads=heads)


def sound(model, graph, *shape):
    example = Example.of(floats(*shape))
    for seed in range(5):
        plan = random_plan(graph, seed)
        verify(model, plan)
        assert difference(outputs(mask(model, plan), example), outputs(shrink(model, plan), example)) < 1e-9
        check_dead_units(model, plan, [example])
        check_cost(model, plan, example)


def test_chunks_with_a_remainder():
    """Seven in two are four and three; five in two are three and two, by chance what a cut of one and one leaves."""

    def run(m, x):
        a, b = m.a(x).chunk(2, -1)
        return m.b(a.relu()) + m.c(b)

    model, graph = traced(run, 2, 4, a=nn.Linear(4, 7), b=nn.Linear(4, 3), c=nn.Linear(3, 3))
    assert graph.groups["a"].pinned
    sound(model, graph, 2, 4)


@pytest.mark.parametrize("k", range(1, 12))
def test_a_position_that_no_trial_happened_to_shift(k):
    """Trials that only cut behind the position would believe it."""
    model, graph = traced(
        lambda m, x: m.b(torch.cat([m.a(x)[..., k:], m.a(x)[..., :k]], -1).relu()),
        2,
        4,
        a=nn.Linear(4, 12),
        b=nn.Linear(12, 3),
    )
    assert k == 6 or graph.groups["a"].pinned
    sound(model, graph, 2, 4)


def test_two_counts_that_every_trial_halved():
    """One integer is the number of heads of queries and of values, which lead different lives."""

    def run(m, x):
        q, v = m.q(x).view(len(x), m.heads, 4), m.v(x).view(len(x), m.heads, 5)
        return m.b(q.flatten(1)) + m.c(v.flatten(1))

    model = Net(run, q=nn.Linear(4, 8), v=nn.Linear(4, 10), b=nn.Linear(8, 3), c=nn.Linear(10, 3))
    model.heads = 2
    model = strengthen_(model).eval()
    sound(model, trace(model, floats(2, 4), heads=True), 2, 4)


@pytest.mark.parametrize(
    "use",
    [
        lambda m, h: h / m.t,
        lambda m, h: h.square().log(),
        lambda m, h: h * m.t.abs().rsqrt(),
        lambda m, h: F.linear(h, m.w / m.w.norm(dim=1, keepdim=True)) / m.t,
    ],
)
def test_what_is_no_number_at_the_zeros_of_dead_units(use):
    """The masked network would give NaN, and could neither be trained nor compared."""
    model, graph = traced(
        lambda m, x: m.b(use(m, m.a(x))),
        2,
        4,
        a=nn.Linear(4, 6),
        t=nn.Parameter(torch.ones(6)),
        w=nn.Parameter(torch.ones(6, 6)),
        b=nn.Linear(6, 3),
    )
    assert "infinite or NaN for a dead unit" in "".join(g.pinned for g in graph.groups.values())
    sound(model, graph, 2, 4)


def test_weights_normalised_by_hand():
    def run(m, x):
        return m.b(F.linear(m.a(x), m.g * m.w / m.w.norm(dim=1, keepdim=True)))

    parts = {"g": nn.Parameter(torch.ones(5, 1)), "w": nn.Parameter(torch.ones(5, 6))}
    model, graph = traced(run, 2, 4, a=nn.Linear(4, 6), b=nn.Linear(5, 3), **parts)
    assert set(graph.cuttable) == {"a"}
    sound(model, graph, 2, 4)


@pytest.mark.parametrize("spread", [lambda h: h.std(-1, keepdim=True), lambda h: torch.var(h, 1, keepdim=True)])
def test_the_spread_of_one_unit_is_no_number(spread):
    model, graph = traced(lambda m, x: m.b(m.a(x) / (spread(m.a(x)) + 1)), 2, 4, a=nn.Linear(4, 6), b=nn.Linear(6, 3))
    assert graph.cuttable["a"].minimum == 2
    sound(model, graph, 2, 4)


def test_the_rest_of_a_table_waits_for_longer_sequences():
    """Positions that the example does not reach are not units that nobody needs."""
    model, graph = traced(
        lambda m, x: m.b((m.a(x) + m.table[: x.shape[1]]).relu() * m.mask[: x.shape[1], :1]),
        2,
        5,
        4,
        a=nn.Linear(4, 6),
        table=nn.Parameter(torch.ones(9, 6)),
        mask=torch.ones(9, 9, dtype=torch.float64),
        b=nn.Linear(6, 3),
    )
    assert set(graph.cuttable) == {"a"}
    small = shrink(model, random_plan(graph))
    assert small.table.shape[0] == 9 and small.mask.shape == (9, 9)
    assert small(floats(2, 9, 4)).shape == (2, 9, 3)
    sound(model, graph, 2, 5, 4)


@pytest.mark.parametrize("before", [True, False])
def test_fused_transformer_layers_of_masked_networks(before):
    """PyTorch's own layer computes its norms in one fused operator in eval mode, past what leaves dead units out."""
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, norm_first=before, dropout=0.0)
    model = strengthen_(nn.Sequential(nn.Linear(4, 8), layer, nn.Linear(8, 3))).eval()
    graph = trace(model, floats(2, 5, 4))
    assert "1.linear1" in graph.cuttable
    sound(model, graph, 2, 5, 4)
    plan = random_plan(graph, 1)
    check_clean(model, plan, Example.of(floats(2, 5, 4)))
    assert not any(m._forward_hooks for m in unmask_(mask(model, plan)).modules())


def test_two_of_many_groups_of_one_size():
    """Six groups of four units: there are not as many widths, and `c` is the width of another group than it seems."""

    def run(m, x):
        x = m.b(m.a(x).relu()).relu()
        x = m.d(m.c(x).relu())
        c = x.shape[-1]
        return m.o(m.g(m.f(x).relu()).reshape(-1, c))

    layers = {name: nn.Linear(4, 4) for name in "abcdfg"}
    model, graph = traced(run, 2, 4, **layers, o=nn.Linear(4, 3))
    sound(model, graph, 2, 4)


def test_the_second_of_two_constants():
    """Both are added to units of queries and of keys, which meet in a product: a dead one must not."""

    def run(m, x):
        q, k = m.q(x) + (m.q1 + m.q2), m.k(x) + (m.k1 + m.k2)
        return torch.tanh(q @ k.mT) @ m.v(x)

    constants = {name: floats(8) + number for number, name in enumerate(("q1", "q2", "k1", "k2"))}
    layers = {"q": nn.Linear(6, 8), "k": nn.Linear(6, 8), "v": nn.Linear(6, 6)}
    model, graph = traced(run, 2, 5, 6, **layers, **constants)
    assert set(graph.cuttable) == {"q"}
    sound(model, graph, 2, 5, 6)


def test_widths_that_an_operator_wants_in_steps():
    """Grouped products of experts read rows that begin at multiples of 16 bytes; every way to plan keeps to that."""
    experts = nn.Parameter(torch.ones(3, 24, 12))

    def run(m, x):
        h = torch.ops.aten._grouped_mm(m.a(x), m.w, torch.tensor([2, 2, len(x)], dtype=torch.int32))
        return m.b(torch.cat([h, m.c(x)], -1))

    layers = {"a": nn.Linear(4, 24), "c": nn.Linear(4, 5), "b": nn.Linear(17, 3)}
    model = strengthen_(Net(run, **layers, w=experts)).eval().float()
    x = floats(5, 4).float()
    graph = trace(model, x)
    assert {n: (g.units, g.multiple, g.minimum) for n, g in graph.cuttable.items()} == {
        "a": (24, 8, 8),
        "w#2": (12, 8, 8),
        "c": (5, 1, 1),
    }
    assert {graph.groups["a"].width_near(n) for n in range(25)} == {8, 16, 24}
    with pytest.raises(IncompatibleError, match="in multiples of 8"):
        plan_by_hand(graph, {"a": range(12)})
    for seed in range(5):
        verify(model, random_plan(graph, seed))


@pytest.mark.parametrize("pool", [F.avg_pool2d, F.max_pool2d])
def test_pooling_over_a_sequence_leaves_its_channels_alone(pool):
    """`(B, places, channels)` seen as pictures, with windows one channel wide; two wide would be another matter."""

    def run(m, x):
        return m.b(pool(m.a(x)[:, None], m.size, stride=(2, 1), ceil_mode=True)[:, 0])

    model, graph = traced(run, 2, 5, 4, a=nn.Linear(4, 6), b=nn.Linear(6, 3), size=(2, 1))
    assert set(graph.cuttable) == {"a"}
    sound(model, graph, 2, 5, 4)
    _, wide = traced(run, 2, 5, 4, a=nn.Linear(4, 7), b=nn.Linear(6, 3), size=(2, 2))
    assert not wide.cuttable


def test_standardising_filters_of_one_entry():
    """A 1 x 1 filter that reads a single channel has no variance."""

    def run(m, x):
        w = F.batch_norm(m.w[None].flatten(2), None, None, training=True, momentum=0.0).view_as(m.w)
        return m.b(F.conv2d(m.a(x), w).mean((2, 3)))

    layers = {"a": nn.Conv2d(3, 6, 1), "w": nn.Parameter(torch.ones(5, 6, 1, 1)), "b": nn.Linear(5, 3)}
    model, graph = traced(run, 2, 3, 4, 4, **layers)
    assert graph.cuttable["a"].minimum == 2
    sound(model, graph, 2, 3, 4, 4)
