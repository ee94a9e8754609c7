"""Recurrent layers and cells: gates go together, layers and directions share their width, states that start at zero."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from secateur.apply.masking import mask, masks_of, unmask_
from secateur.apply.shrinking import shrink
from secateur.core.errors import IncompatibleError
from secateur.core.example import Example
from secateur.graph.record import private_copy, record
from secateur.graph.trace import trace
from secateur.testing.nets import Net, floats, sound, traced, widths
from secateur.testing.system import random_plan

#: Kind, further arguments, and the width of what leaves the layer for 5 units.
LAYERS = [
    (nn.LSTM, {}, 5),
    (nn.GRU, {}, 5),
    (nn.RNN, {}, 5),
    (nn.RNN, {"nonlinearity": "relu"}, 5),
    (nn.GRU, {"bias": False}, 5),
    (nn.LSTM, {"num_layers": 3}, 5),
    (nn.LSTM, {"bidirectional": True}, 10),
    (nn.GRU, {"bidirectional": True, "num_layers": 2}, 10),
    (nn.LSTM, {"proj_size": 3}, 3),
    (nn.LSTM, {"proj_size": 2, "num_layers": 2, "bidirectional": True, "bias": False}, 4),
]


def slot(graph, group, tensor, dim):
    return next(s.index.tolist() for s in graph.groups[group].slots if (s.tensor, s.dim) == (tensor, dim))


@pytest.mark.parametrize(("kind", "options", "width"), LAYERS)
@pytest.mark.parametrize("batch_first", [True, False])
def test_layers(kind, options, width, batch_first):
    model, graph = traced(
        lambda m, x: m.b(m.l(m.a(x).sigmoid())[0]),
        floats(2, 3, 4),
        a=nn.Linear(4, 6),
        l=kind(6, 5, batch_first=batch_first, **options),
        b=nn.Linear(width, 3),
    )
    projected = {"l.weight_hr_l0": options["proj_size"]} if "proj_size" in options else {}
    assert widths(graph) == {"a": 6, "l.weight_hh_l0": 5} | projected
    sound(model, graph, floats(2, 3, 4))


def test_where_the_units_of_two_layers_in_two_directions_live():
    _, graph = traced(
        lambda m, x: m.b(m.l(x)[0]),
        floats(2, 3, 4),
        l=nn.LSTM(4, 5, num_layers=2, bidirectional=True),
        b=nn.Linear(10, 3),
    )
    for name in ("l0", "l0_reverse", "l1", "l1_reverse"):
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            found = slot(graph, "l.weight_hh_l0", f"l.{kind}_{name}", 0)
            assert found == [[u, u + 5, u + 10, u + 15] for u in range(5)]
        assert slot(graph, "l.weight_hh_l0", f"l.weight_hh_{name}", 1) == [[u] for u in range(5)]
    for tensor in ("l.weight_ih_l1", "l.weight_ih_l1_reverse", "b.weight"):
        assert slot(graph, "l.weight_hh_l0", tensor, 1) == [[u, u + 5] for u in range(5)]


def test_integers_follow():
    model, graph = traced(
        lambda m, x: m.b(m.l(m.a(x))[0]),
        floats(2, 3, 4),
        a=nn.Linear(4, 6),
        l=nn.LSTM(6, 5, proj_size=2),
        b=nn.Linear(2, 3),
    )
    plan = random_plan(graph).keep("a", [0, 1]).keep("l.weight_hh_l0", [0, 2, 3]).keep("l.weight_hr_l0", [1])
    small = shrink(model, plan).l
    assert (small.input_size, small.hidden_size, small.proj_size) == (2, 3, 1)
    assert small.weight_ih_l0.shape == (12, 2) and small.weight_hh_l0.shape == (12, 1)


def test_cells_stay_wider_than_their_projection():
    """At equal widths torch would take the layer for one without a projection."""
    _, graph = traced(lambda m, x: m.b(m.l(x)[0]), floats(2, 3, 4), l=nn.LSTM(4, 5, proj_size=2), b=nn.Linear(2, 3))
    assert graph.groups["l.weight_hh_l0"].minimum == 3
    with pytest.raises(IncompatibleError, match="must keep 3 or more"):
        random_plan(graph).keep("l.weight_hh_l0", [0, 1])
    _, tight = traced(lambda m, x: m.b(m.l(x)[0]), floats(2, 3, 4), l=nn.LSTM(4, 5, proj_size=4), b=nn.Linear(4, 3))
    assert "more cells than" in tight.groups["l.weight_hh_l0"].pinned
    assert widths(tight) == {"l.weight_hr_l0": 4}
    assert not [t for axes in tight.tensors.values() for axis in axes.axes for t in axis.terms if "_hh_" in t[0]]


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTMCell, 4), (nn.GRUCell, 3), (nn.RNNCell, 1)])
def test_cells(kind, gates):
    def run(m, x):
        state, out = None, []
        for step in m.a(x).relu().unbind(1):
            state = m.c(step, state)
            out.append(state[0] if isinstance(state, tuple) else state)
        return m.b(torch.stack(out, 1))

    model, graph = traced(run, floats(2, 3, 4), a=nn.Linear(4, 6), c=kind(6, 5), b=nn.Linear(5, 3))
    assert widths(graph) == {"a": 6, "c.weight_hh": 5}
    assert slot(graph, "c.weight_hh", "c.weight_ih", 0) == [[u + 5 * g for g in range(gates)] for u in range(5)]
    sound(model, graph, floats(2, 3, 4))


class TestStates:
    def test_an_input_of_the_model_pins(self):
        model, graph = traced(
            lambda m, x, h: m.b(m.l(x, h)[0]), floats(3, 2, 4), floats(1, 2, 5), l=nn.GRU(4, 5), b=nn.Linear(5, 3)
        )
        assert "operator aten.gru at l" in graph.groups["l.weight_hh_l0"].pinned
        sound(model, graph, floats(3, 2, 4), floats(1, 2, 5), seeds=())

    def test_a_learned_one_goes_along(self):
        model, graph = traced(
            lambda m, x: m.b(m.l(x, m.start.expand(-1, 2, -1).contiguous())[0]),
            floats(3, 2, 4),
            start=nn.Parameter(torch.ones(1, 1, 5)),
            l=nn.GRU(4, 5),
            b=nn.Linear(5, 3),
        )
        assert widths(graph) == {"l.weight_hh_l0": 5}
        assert slot(graph, "l.weight_hh_l0", "start", 2) == [[u] for u in range(5)]
        sound(model, graph, floats(3, 2, 4))

    def test_one_that_the_model_makes_from_its_own_integer(self):
        def run(m, x):
            start = torch.zeros(2, x.shape[1], m.width, dtype=x.dtype)
            return m.b(m.l(x, (start, torch.zeros_like(start)))[0][-1])

        model, graph = traced(run, floats(3, 2, 4), width=5, l=nn.LSTM(4, 5, 2), b=nn.Linear(5, 3))
        assert widths(graph) == {"l.weight_hh_l0": 5}
        assert ("", "width") in {(a.module, a.name) for a in graph.attributes}
        sound(model, graph, floats(3, 2, 4))

    def test_one_of_a_size_written_into_the_code_pins(self):
        _, graph = traced(
            lambda m, x: m.b(m.l(x, torch.zeros(1, 2, 5, dtype=x.dtype))[0]),
            floats(3, 2, 4),
            l=nn.GRU(4, 5),
            b=nn.Linear(5, 3),
        )
        assert "operator aten.zeros" in graph.groups["l.weight_hh_l0"].pinned

    def test_encoder_and_decoder_share_their_width(self):
        model, graph = traced(
            lambda m, x: m.b(m.dec(x, m.enc(x)[1])[0]),
            floats(3, 2, 4),
            enc=nn.LSTM(4, 5),
            dec=nn.LSTM(4, 5),
            b=nn.Linear(5, 3),
        )
        assert widths(graph) == {"enc.weight_hh_l0": 5}
        sound(model, graph, floats(3, 2, 4))

    @pytest.mark.parametrize(
        "read",
        [
            lambda out, last: last[-1],
            lambda out, last: torch.cat([last[-2], last[-1]], 1),
            lambda out, last: last.transpose(0, 1).flatten(1),
            lambda out, last: out[:, 0] + out[:, -1],
            lambda out, last: (out @ out.transpose(1, 2)).softmax(-1) @ out,
        ],
    )
    def test_what_is_read(self, read):
        layer = nn.GRU(4, 5, bidirectional=True, batch_first=True)
        width = read(*layer(torch.zeros(2, 3, 4))).shape[-1]
        model, graph = traced(lambda m, x: m.b(read(*m.l(x))), floats(2, 3, 4), l=layer, b=nn.Linear(width, 3))
        assert widths(graph) == {"l.weight_hh_l0": 5}
        sound(model, graph, floats(2, 3, 4))

    def test_loud_cells_may_not_be_summed_over(self):
        """A GRU that starts from ones keeps ones in its dead units: a product of activations must notice."""

        def run(m, x):
            out, _ = m.l(x, x.new_ones(1, x.shape[0], m.l.hidden_size))
            return m.b((out @ out.transpose(1, 2)) @ x)

        _, graph = traced(run, floats(2, 3, 4), l=nn.GRU(4, 5, batch_first=True), b=nn.Linear(4, 3))
        assert "sum over activations" in graph.groups["l.weight_hh_l0"].pinned


def test_packed_sequences():
    def run(m, x):
        lengths = x.shape[1] - torch.arange(x.shape[0]) % 2
        packed = pack_padded_sequence(m.a(x), lengths, batch_first=True, enforce_sorted=False)
        out, _ = pad_packed_sequence(m.l(packed)[0], batch_first=True)
        return m.b(out)

    model, graph = traced(
        run, floats(3, 4, 4), a=nn.Linear(4, 6), l=nn.LSTM(6, 5, 2, bidirectional=True), b=nn.Linear(10, 3)
    )
    assert widths(graph) == {"a": 6, "l.weight_hh_l0": 5}
    sound(model, graph, floats(3, 4, 4))


def test_states_that_are_read_in_a_residual_sum():
    model, graph = traced(
        lambda m, x: m.b(m.n(m.a(x) + m.l(m.a(x))[0])),
        floats(2, 3, 4),
        a=nn.Linear(4, 6),
        l=nn.GRU(6, 6),
        n=nn.LayerNorm(6),
        b=nn.Linear(6, 3),
    )
    assert widths(graph) == {"a": 6}
    sound(model, graph, floats(2, 3, 4))


class TestMaskedLayers:
    """The masked layer computes from its list of weights; the list must be right at all times."""

    @pytest.fixture
    def masked(self):
        model, graph = traced(lambda m, x: m.b(m.l(x)[0]), floats(3, 2, 4), l=nn.LSTM(4, 5, 2), b=nn.Linear(5, 3))
        plan = random_plan(graph).keep("l.weight_hh_l0", [0, 3])
        return mask(model, plan), plan, shrink(model, plan)

    def test_gradients_of_dead_units_are_zero(self, masked):
        model, _, _ = masked
        model(floats(3, 2, 4)).square().sum().backward()
        for name, keep in masks_of(model).items():
            owner, _, leaf = name.rpartition(".")
            chain = getattr(model.get_submodule(owner).parametrizations, leaf)
            assert not chain.original.grad[~keep].any() and chain.original.grad[keep].any()
        assert {"l.weight_ih_l1", "l.bias_hh_l0", "b.weight"} <= set(masks_of(model))

    def test_copies_and_stored_weights(self, masked):
        model, _, _ = masked
        x = floats(3, 2, 4)
        before = model(x)  # with gradients, so that a list of computed weights could not be copied
        twin = copy.deepcopy(model)
        assert torch.equal(twin(x), before)
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.mul_(0.5)
        assert torch.equal(model(x), before) and not torch.equal(twin(x), before)
        twin.load_state_dict(model.state_dict())
        assert torch.equal(twin(x), before)

    def test_the_masks_come_off(self, masked):
        model, _, _ = masked
        x = floats(3, 2, 4)
        before = model(x)
        bare = unmask_(copy.deepcopy(model))
        assert type(bare.l) is nn.LSTM and nn.LSTM.forward.__module__ == "torch.nn.modules.rnn"
        assert torch.equal(bare(x), before)
        bare(x).sum().backward()
        assert all(p.grad is not None for p in bare.parameters())
        with torch.no_grad():
            bare.l.weight_hh_l1.zero_()
        assert not torch.equal(bare(x), before)
        assert torch.equal(model(x), before)

    def test_a_step_of_training_reaches_the_layer(self, masked):
        model, plan, small = masked
        x = floats(3, 2, 4)
        for net in (model, small):
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
            for _ in range(3):
                optimizer.zero_grad()
                net(x).square().mean().backward()
                optimizer.step()
        assert (model(x) - small(x)).abs().max() < 1e-12
        assert (shrink(model, plan).l.weight_hh_l0 - small.l.weight_hh_l0).abs().max() < 1e-12

    def test_another_precision(self, masked):
        model, _, small = masked
        x = floats(3, 2, 4).float()
        assert (model.float()(x) - small.float()(x)).abs().max() < 1e-5


def test_the_length_of_the_sequence_costs_nothing():
    """One call is recorded however many steps there are."""
    model = Net(lambda m, x: m.b(m.l(x)[0]), l=nn.LSTM(4, 5, 2, bidirectional=True), b=nn.Linear(10, 3))
    calls = {}
    for steps in (2, 100):
        calls[steps] = len(record(private_copy(model), Example.of(torch.zeros(steps, 1, 4))).calls)
        graph = trace(model, torch.zeros(steps, 1, 4))
        per_step = 2 * 20 * (4 + 5) + 2 * 20 * (10 + 5)
        assert sum(op.macs(graph.full) for op in graph.ops if op.name == "lstm") == steps * per_step
    assert calls[2] == calls[100]
