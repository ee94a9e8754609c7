"""What tracing refuses, what it survives, and what it must not do to the model."""

import gc
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from secateur.apply.masking import mask
from secateur.apply.shrinking import shrink
from secateur.apply.verify import difference, outputs, strengthen_, verify
from secateur.bench.zoo.vit import ViT
from secateur.core.errors import IncompatibleError, TraceError, VerificationError
from secateur.core.example import Example
from secateur.core.plan import PruningPlan
from secateur.granularity import Channel
from secateur.graph.propagate import goes_elsewhere
from secateur.graph.record import record
from secateur.graph.trace import trace
from secateur.testing.models import TINY
from secateur.testing.system import check_cost, check_dead_units, prepare, random_plan, untouched


class Net(nn.Module):
    """A forward function with layers."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def floats(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def traced(function, *inputs, **layers):
    model = strengthen_(Net(function, **layers)).eval()
    with untouched(model):
        graph = trace(model, inputs)
    return model, graph


def sound(model, graph, *examples, seeds=range(4)):
    """Every check on a few random cuts."""
    for seed in seeds:
        plan = random_plan(graph, seed)
        verify(model, plan)
        masked, shrunk = mask(model, plan), shrink(model, plan)
        for example in map(Example.of, examples):
            assert difference(outputs(masked, example), outputs(shrunk, example)) < 1e-9
        check_dead_units(model, plan, map(Example.of, examples))
        check_cost(model, plan, Example.of(examples[0]))


def linear(a=4, b=6):
    return nn.Linear(a, b)


def conv(a=3, b=6, k=3, **kw):
    return nn.Conv2d(a, b, k, padding=k // 2, **kw)


class TestErrors:
    def test_wrong_shape(self):
        model = TINY["chain"].build()
        with (
            untouched(model),
            pytest.raises(
                TraceError, match=r"tensors of shape \[\[2, 4, 6, 6\]\]\) in 0: RuntimeError.*model\(\.\.\.\) accepts"
            ),
        ):
            trace(model, floats(2, 4, 6, 6))

    def test_wrong_arguments(self):
        with pytest.raises(TraceError, match="positional argument"):
            trace(TINY["chain"].build(), (floats(2, 3, 6, 6), 1))

    def test_no_inputs_at_all(self):
        with pytest.raises(TraceError, match="must be a tensor"):
            trace(TINY["chain"].build(), "image")

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_weights_that_are_not_finite(self, value):
        model = TINY["chain"].build()
        model[3].weight.data[0, 0] = value
        with untouched(TINY["chain"].build()), pytest.raises(TraceError, match=r"NaN or infinity, first '3.weight'"):
            trace(model, floats(2, 3, 6, 6))

    def test_no_tensor_comes_out(self):
        with pytest.raises(TraceError, match="returns no tensor"):
            traced(lambda m, x: {"n": 3}, floats(2, 4), a=linear())

    @pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
    def test_torchscript(self):
        with pytest.raises(TraceError, match="1 is a TorchScript module"):
            trace(
                nn.Sequential(nn.Linear(4, 6), torch.jit.trace(nn.Linear(6, 3), torch.zeros(2, 6))), torch.zeros(2, 4)
            )

    def test_infinity_in_a_causal_mask_is_fine(self):
        model = TINY["packed_attention"].build()
        model.attention.register_buffer("mask", torch.full((5, 5), float("-inf"), dtype=torch.float64).triu(1))
        graph = trace(model, TINY["packed_attention"].example())
        assert {n: g.units for n, g in graph.cuttable.items()} == TINY["packed_attention"].groups

    def test_the_garbage_collector_is_as_before(self):
        model = TINY["chain"].build()
        for given, why in ((floats(2, 4, 6, 6), pytest.raises(TraceError)), (floats(2, 3, 6, 6), nullcontext())):
            with why:
                trace(model, given)
            assert gc.get_freeze_count() == 0
        gc.freeze()
        try:
            frozen = gc.get_freeze_count()
            trace(model, floats(2, 3, 6, 6))
            assert 0 < gc.get_freeze_count() <= frozen
        finally:
            gc.unfreeze()

    @pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
    def test_a_model_that_runs_and_cannot_be_recorded(self):
        def run(m, x):
            h = torch.nested.nested_tensor(list(m.a(x)), layout=torch.jagged)
            return m.b(torch.nested.to_padded_tensor(h, 0.0))

        with pytest.raises(TraceError, match="the model runs, but its operators cannot be recorded"):
            traced(run, floats(2, 3, 4), a=linear(), b=linear(6, 3))

    def test_a_model_that_cannot_be_copied(self):
        model = nn.Linear(3, 3)
        model.kept = model.weight * 2
        with pytest.raises(TraceError, match="cannot be copied"):
            trace(model, floats(2, 3).float())

    def test_inputs_that_a_plan_cannot_describe(self):
        with pytest.raises(TraceError, match="cannot describe"):
            trace(Net(lambda m, x, o: m.a(x), a=linear()).double(), (floats(2, 4), object()))

    def test_the_failing_module_is_named(self):
        model = nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.ReLU(), nn.Linear(5, 3)))
        with pytest.raises(TraceError, match=r"in 1\.1: RuntimeError"):
            trace(model, torch.zeros(2, 4))


class TestAliases:
    """Writes in place, through views and `.data`."""

    def test_write_through_a_view(self):
        def run(m, x):
            h = m.a(x)
            h.view(x.shape[0], -1, 1).add_(m.s.view(1, -1, 1))
            return m.b(h)

        model, graph = traced(run, floats(2, 4), a=linear(), s=nn.Parameter(torch.ones(6)), b=linear(6, 3))
        assert {s.tensor for s in graph.groups["a"].slots} == {"a.weight", "a.bias", "s", "b.weight"}
        sound(model, graph, (floats(2, 4),))

    def test_a_view_made_loud_makes_the_base_loud(self):
        """Dead units of `q` are zero until a view of them is shifted; a product of activations must notice."""

        def run(m, x):
            q, k = m.q(x), m.k(x).sigmoid()
            q.view(-1).add_(1)
            return m.b((q @ k.transpose(1, 2)).softmax(-1) @ x)

        model, graph = traced(run, floats(2, 3, 4), q=linear(), k=linear(), b=linear(4, 3))
        assert "sum over activations" in graph.groups["q"].pinned
        sound(model, graph, (floats(2, 3, 4),))

    def test_data_and_detach(self):
        model, graph = traced(
            lambda m, x: F.linear(m.a(x).relu(), m.b.weight.data, m.b.bias.detach()),
            floats(2, 4),
            a=linear(),
            b=linear(6, 3),
        )
        assert graph.cuttable["a"].units == 6
        sound(model, graph, (floats(2, 4),))

    @pytest.mark.parametrize(
        "write",
        [lambda h: h.unsqueeze_(1), lambda h: h.unsqueeze_(0).squeeze_(0), lambda h: h.relu_(), lambda h: h.mul_(2)],
    )
    def test_in_place(self, write):
        model, graph = traced(lambda m, x: m.b(write(m.a(x))), floats(2, 4), a=linear(), b=linear(6, 3))
        assert "a" in graph.cuttable
        sound(model, graph, (floats(2, 4),))

    def test_slices_filled_one_by_one(self):
        def run(m, x):
            out = torch.zeros(x.shape[0], 6, dtype=x.dtype)
            out[:, :4] = m.a(x)
            out[:, 4:] = m.c(x)
            return m.b(out)

        model, graph = traced(run, floats(2, 4), a=linear(4, 4), c=linear(4, 2), b=linear(6, 3))
        assert not graph.cuttable
        sound(model, graph, (floats(2, 4),), seeds=())

    def test_inputs_may_be_written_to(self):
        x = floats(2, 4)
        model, graph = traced(lambda m, x: m.b(m.a(x.mul_(2)).relu()), x, a=linear(), b=linear(6, 3))
        assert torch.equal(x, floats(2, 4)) and x._version == 0
        sound(model, graph, (x,))
        assert torch.equal(x, floats(2, 4))

    @pytest.mark.parametrize(
        "write",
        [
            lambda w: w.data.clamp_(max=0.01),
            lambda w: torch.mul(w, 2, out=w.data),
            lambda w: w.t().add_(0.5),
        ],
    )
    @pytest.mark.parametrize("depth", [False, True])
    def test_weights_that_forward_writes_to(self, write, depth):
        """In the model they stay what they are, also where the forward catches whatever an operator raises."""

        def function(m, x):
            try:
                write(m.a.weight)
            except Exception:
                return x
            return m.b(torch.relu(m.a(x)))

        model = strengthen_(Net(function, a=linear(4, 6), b=linear(6, 2))).eval()
        with untouched(model):
            graph = trace(model, floats(2, 4), depth=depth)
        assert graph.groups["a"].units == 6

    def test_buffers_that_forward_updates(self):
        model = Net(lambda m, x: m.b(m.a(x) - m.mean.mul_(0.5)), a=linear(), b=linear(6, 3))
        model.register_buffer("mean", torch.ones(6))
        model = strengthen_(model).eval()
        with untouched(model):
            graph = trace(model, floats(2, 4))
        assert graph.cuttable["a"].units == 6


class TestNumbersFromWidths:
    """A number computed from a width changes with a cut, and with it the function."""

    @pytest.mark.parametrize(
        "scale",
        [
            lambda h: h * h.shape[1],
            lambda h: h / h.shape[1] ** 0.5,
            lambda h: h * torch.tensor(h.shape[1], dtype=h.dtype),
            lambda h: h / torch.full((), h.size(-1), dtype=h.dtype).sqrt(),
            lambda h: h.relu() * h.shape[1] ** -0.25,
            lambda h: (h + torch.cat(h.chunk(2, 1)[::-1], 1)) / h.shape[1] ** 0.5,  # on two ways from one weight
            lambda h: h / torch.sqrt(torch.tensor(h.shape[1], dtype=h.dtype) * 3),
            lambda h: torch.cat([h, torch.zeros_like(h)], 0) / h.shape[1] ** 0.5,  # zeros stay zero
        ],
    )
    def test_weights_make_up_for_it(self, scale):
        model, graph = traced(lambda m, x: m.b(scale(m.a(x))), floats(2, 4), a=linear(), b=linear(6, 3))
        assert {r.tensor for r in graph.rescalings} == {"a.weight", "a.bias"} and "a" in graph.cuttable
        sound(model, graph, (floats(2, 4),))

    @pytest.mark.parametrize(
        "scale",
        [
            lambda h: (h * h.shape[1]) + h,  # somebody else reads it, too
            lambda h: h.sigmoid() * h.shape[1],
            lambda h: h.clamp(max=h.shape[1] / 10),
            lambda h: h + h.numel(),
            lambda h: h.pow(h.shape[1]),
            lambda h: torch.add(h, h, alpha=h.shape[1]),
        ],
    )
    def test_pinned(self, scale):
        model, graph = traced(lambda m, x: m.b(scale(m.a(x))), floats(2, 4), a=linear(), b=linear(6, 3))
        assert "from a width" in graph.groups["a"].pinned and "operator aten." in graph.groups["a"].pinned
        sound(model, graph, (floats(2, 4),), seeds=())

    def test_a_fixed_number_is_fine(self):
        model, graph = traced(
            lambda m, x: m.b(m.a(x) * 6 + torch.tensor(6.0)), floats(2, 4), a=linear(), b=linear(6, 3)
        )
        sound(model, graph, (floats(2, 4),))
        assert "a" in graph.cuttable


class TestPositions:
    """Operators that name entries by position."""

    @pytest.mark.parametrize(
        "pick",
        [
            lambda h: h[:, 1:5],
            lambda h: h[:, ::4],
            lambda h: h[:, [0, 2, 4]],
            lambda h: h.index_select(1, torch.tensor([0, 5])),
            lambda h: h.roll(1, 1),
            lambda h: h.gather(1, torch.zeros(2, 2, dtype=torch.long)),
            lambda h: h * h[:, :1],
            lambda h: h.split([2, 4], 1)[1],
            lambda h: h.tril(),
            lambda h: h.sort(1).values,
            lambda h: h.cumsum(1),
            lambda h: h.flatten().view(2, -1).unfold(1, 2, 1)[..., 0],
            lambda h: h[h[:, 0] > -1e9],
            lambda h: torch.cat([h, h[:, :0]], 1)[:, 2:],
        ],
    )
    def test_pinned(self, pick):
        width = pick(torch.zeros(2, 6)).shape[1]
        model, graph = traced(lambda m, x: m.b(pick(m.a(x))), floats(2, 4), a=linear(), b=nn.Linear(width, 3))
        assert graph.groups["a"].pinned
        sound(model, graph, (floats(2, 4),), seeds=())

    @pytest.mark.parametrize(
        "pick",
        [
            lambda h: h[:, :, 1:4],
            lambda h: h[:, :, [0, 2]],
            lambda h: h.index_select(2, torch.tensor([0, 2])),
            lambda h: h.roll(1, 2),
            lambda h: h.flip(1),
            lambda h: F.pad(h, (1, 1), value=1.0),
            lambda h: F.pad(h, (1, 1), value=float("-inf")).amax(3, keepdim=True),
            lambda h: F.pad(h, (1, 1, 1, 1), mode="reflect"),
            lambda h: torch.maximum(h, torch.zeros_like(h)),
            lambda h: h + h.new_zeros(()),
            lambda h: h.mean((2, 3), keepdim=True).expand_as(h),
            lambda h: h.amax(3, keepdim=True),
            lambda h: h.transpose(2, 3).contiguous(),
            lambda h: F.hardswish(h) + F.mish(h) + F.softplus(h) + F.logsigmoid(h),
            lambda h: h.unsafe_chunk(2, 2)[0],
        ],
    )
    def test_channels_pass(self, pick):
        model, graph = traced(lambda m, x: m.b(pick(m.a(x))), floats(2, 3, 4, 4), a=conv(), b=conv(6, 3))
        assert graph.cuttable["a"].units == 6
        sound(model, graph, (floats(2, 3, 4, 4),))

    @pytest.mark.parametrize("moved", [lambda t: t, lambda t: t.to(torch.float64)[None, None]])
    def test_a_tensor_that_is_no_buffer_is_named(self, moved):
        """What a module keeps without registering it is a constant; the reason says so, and what to do about it."""
        for keep in (setattr, nn.Module.register_buffer):

            def run(m, x):
                return m.b(m.c(m.a(x) + moved(m.kept)).relu())

            model = Net(run, a=linear(), b=linear(6, 3), c=linear(6, 6)).double()
            keep(model, "kept", torch.randn(6))
            graph = trace(model, floats(2, 3, 4))
            assert ("a" in graph.cuttable) == (keep is not setattr)
            if keep is setattr:
                why = "meets kept, a tensor that is no buffer (register_buffer lets it be cut along): operator aten.add"
                assert graph.groups["a"].pinned.startswith(why)

    def test_constants_padded_onto_the_channel_dim_belong_to_nobody(self):
        model, graph = traced(
            lambda m, x: m.b(F.pad(m.a(x), (1, 1), value=1.0)), floats(2, 4), a=linear(), b=linear(8, 3)
        )
        assert graph.cuttable["a"].units == 6
        slot = next(s for s in graph.groups["a"].slots if s.tensor == "b.weight")
        assert slot.index.tolist() == [[u] for u in range(1, 7)]
        sound(model, graph, (floats(2, 4),))

    @pytest.mark.parametrize("empty", [lambda h: torch.cat([h, h[:, :0]], 1), lambda h: torch.cat([h, h[:, :, :0]], 2)])
    def test_empty_pieces(self, empty):
        model, graph = traced(lambda m, x: m.b(empty(m.a(x))), floats(2, 3, 4, 4), a=conv(), b=conv(6, 3))
        sound(model, graph, (floats(2, 3, 4, 4),))

    def test_mask_of_truth_values(self):
        _, graph = traced(lambda m, x: m.b(m.a(x)[x[..., 0] > 0]), floats(2, 3, 4), a=linear(), b=linear(6, 3))
        assert "mask" in graph.groups["a"].pinned


class TestSizes:
    def test_unequal_cuts_under_one_integer(self):
        prepared = prepare(TINY["attention"])
        sound(prepared.model, prepared.graph, TINY["attention"].inputs(), seeds=range(8))

    def test_two_integers_that_must_not_come_to_be_equal(self):
        class Widening(nn.Module):
            def __init__(self, width, out):
                super().__init__()
                self.width, self.out = width, out
                self.norm, self.inner, self.skip = nn.LayerNorm(width), nn.Linear(width, out), nn.Linear(width, out)

            def forward(self, x):
                y = self.inner(self.norm(x)).view(len(x), -1, self.out).amax(1)
                return y + (self.skip(x) if self.width != self.out else x)

        layers = {"a": linear(4, 6), "b": Widening(6, 12), "c": Widening(12, 24), "d": linear(24, 3)}
        model, graph = traced(lambda m, x: m.d(m.c(m.b(m.a(x)))), floats(2, 4), **layers)
        least = {name: group.minimum for name, group in graph.cuttable.items()}
        assert least == {"a": 1, "b.inner": 7, "c.inner": 13}
        sound(model, graph, (floats(2, 4),), seeds=range(8))
        kept = {name: torch.arange(graph.groups[name].units) < n for name, n in least.items()}
        verify(model, PruningPlan(kept, Channel(), graph))

    def test_a_batch_that_reaches_into_the_channels(self):
        """At batch 1 this reshape mixes nothing, at batch 2 it does; a larger batch is tried before a cut is handed over."""

        def run(m, x):
            h = m.a(x)
            width = h.shape[1]
            return m.b((h.reshape(width, -1) * m.s).reshape(-1, width))

        model, graph = traced(run, floats(1, 4), a=linear(), s=nn.Parameter(torch.ones(6, 1)), b=linear(6, 3))
        with pytest.raises(VerificationError, match="differ"):
            shrink(model, random_plan(graph, 1).keep("a", [1, 2, 4]))

    def test_what_only_training_uses_is_cut_along(self):
        def run(m, x):
            h = m.a(x).relu()
            return m.b(h * m.only if m.training else h)

        model, graph = traced(run, floats(2, 4), a=linear(), only=nn.Parameter(torch.ones(6)), b=linear(6, 3))
        small = shrink(model, random_plan(graph).keep("a", [1, 2, 4]))
        assert small.only.shape == (3,)
        sound(model, graph, (floats(2, 4),))

    def test_channels_mixed_in_training_only(self):
        def run(m, x):
            h = m.a(x).relu()
            return m.b(h - h.mean(1, keepdim=True) if m.training else h)

        model, graph = traced(run, floats(2, 4), a=linear(), b=linear(6, 3))
        shrink(model, random_plan(graph).keep("a", [1, 2, 4]))  # means are over what is alive, in a masked network too
        sound(model, graph, (floats(2, 4),))

    def test_a_width_as_a_number_in_training_only(self):
        """No parameter is used in training alone, and nothing is mixed: the loss is divided by a width."""

        def run(m, x):
            h = m.a(x).relu()
            y = m.b(h)
            return (y, h.square().mean((0, 1)) / h.shape[1]) if m.training else (y, y.sum())

        model, graph = traced(run, floats(2, 4), a=linear(), c=linear(3, 5), d=linear(5, 2), b=linear(6, 3))
        assert "computes the number" in graph.groups["a"].pinned
        sound(model, graph, (floats(2, 4),), seeds=())

    def test_statistics_that_only_training_keeps(self):
        """The least entry of all units is written where no forward pass reads it; then where one does."""

        def run(m, x):
            h = m.a(x).relu()
            if m.training:
                m.least.copy_(torch.minimum(m.least, h.min()))
            return m.b(h - m.least if m.reads else h)

        for reads in (False, True):
            least = nn.Buffer(torch.zeros(()))
            model, graph = traced(run, floats(2, 4), a=linear(), b=linear(6, 3), least=least, reads=reads)
            assert list(graph.cuttable) == ([] if reads else ["a"])
            sound(model, graph, (floats(2, 4),), seeds=(0, 1) if graph.cuttable else ())

    def test_unequal_pieces_in_training_only(self):
        def run(m, x):
            h = m.a(x).relu()
            one, two = (y.relu() for y in h.split([m.c.in_features, m.d.in_features], -1))
            y = m.c(one) + m.d(two)
            return (y, torch.cat(h.split([m.c.in_features, m.d.in_features], -1), -1).mean()) if m.training else y

        model, graph = traced(run, floats(2, 4), a=linear(4, 7), c=linear(2, 3), d=linear(5, 3))
        assert {name: group.units for name, group in graph.cuttable.items()} == {"a": 2, "a#2": 5}
        sound(model, graph, (floats(2, 4),))

    def test_sizes_written_down_for_training_only(self):
        def run(m, x):
            h = m.a(x).relu()
            return m.b(h.reshape(-1, 2, 3).flatten(1) * 2.0 if m.training else h)

        _, graph = traced(run, floats(2, 4), a=linear(), b=linear(6, 3))
        assert "after a cut" in graph.groups["a"].pinned

    def test_what_drops_at_random_in_training_is_no_other_path(self):
        def run(m, x):
            return m.b(m.norm(torch.nn.functional.dropout(m.a(x).relu(), 0.5, m.training)))

        model, _ = traced(run, floats(2, 4), a=linear(), norm=nn.BatchNorm1d(6), b=linear(6, 3))
        passes = record(model.eval(), Example.of(floats(2, 4))), record(model.train(), Example.of(floats(2, 4)))
        assert len(passes[0].calls) < len(passes[1].calls) and not goes_elsewhere(*passes)

    @pytest.mark.parametrize(
        "squeeze", [lambda h: h.squeeze(), lambda h: h.squeeze(1).flatten(1), lambda h: h.squeeze((1, 2, 3))]
    )
    def test_squeezing(self, squeeze):
        """A dim of one entry would vanish, so two channels stay."""
        model, graph = traced(
            lambda m, x: m.b(squeeze(m.a(x).mean((2, 3), keepdim=True))), floats(2, 3, 4, 4), a=conv(), b=linear(6, 3)
        )
        assert graph.cuttable["a"].minimum == 2
        with pytest.raises(IncompatibleError, match="must keep 2 or more"):
            random_plan(graph).keep("a", [0])
        sound(model, graph, (floats(2, 3, 4, 4),), seeds=range(8))

    def test_squeezing_two_groups_side_by_side(self):
        """The larger group answers for the dim; entries that are nobody's count, too."""
        model, graph = traced(
            lambda m, x: m.b(torch.cat([m.a(x), m.c(x)], 1).mean((2, 3), keepdim=True).squeeze()),
            floats(2, 3, 4, 4),
            a=conv(),
            c=conv(3, 2),
            b=linear(8, 3),
        )
        assert {n: g.minimum for n, g in graph.cuttable.items()} == {"a": 2, "c": 1}
        model, graph = traced(
            lambda m, x: m.b(F.pad(m.a(x).mean((2, 3), keepdim=True), (0, 0, 0, 0, 1, 1)).squeeze()),
            floats(2, 3, 4, 4),
            a=conv(),
            b=linear(8, 3),
        )
        assert graph.cuttable["a"].minimum == 1
        sound(model, graph, (floats(2, 3, 4, 4),), seeds=range(8))

    def test_a_group_of_one_unit_may_not_be_cut(self):
        """Two outputs in two groups of a convolution would have to go together."""
        model, graph = traced(
            lambda m, x: m.b(m.g(m.a(x))), floats(2, 3, 4, 4), a=conv(), g=conv(6, 2, groups=2), b=conv(2, 3)
        )
        assert "one unit only" in graph.groups["g"].pinned and set(graph.cuttable) == {"a"}
        sound(model, graph, (floats(2, 3, 4, 4),))


class TestModules:
    def test_a_norm_under_two_names(self):
        norm = nn.LayerNorm(6)
        model, graph = traced(
            lambda m, x: m.b(m.two(m.one(m.a(x)))), floats(2, 4), a=linear(), one=norm, two=norm, b=linear(6, 3)
        )
        assert "a" in graph.cuttable
        sound(model, graph, (floats(2, 4),))
        small = shrink(mask(model, random_plan(graph, 1)), random_plan(graph, 1))
        assert small.one is small.two and type(small.one) is nn.LayerNorm

    def test_hooks_on_a_norm_are_called_in_the_masked_network_too(self):
        model, graph = traced(
            lambda m, x: m.b(m.n(m.a(x))), floats(2, 4), a=linear(), n=nn.LayerNorm(6), b=linear(6, 3)
        )
        model.n.register_forward_hook(lambda *args: args[-1] * 2)
        sound(model, graph, (floats(2, 4),))

    def test_norms_that_share_a_scale(self):
        one, two = nn.LayerNorm(6), nn.LayerNorm(6)
        two.weight = one.weight
        model, graph = traced(
            lambda m, x: m.b(m.two(m.one(m.a(x)))), floats(2, 4), a=linear(), one=one, two=two, b=linear(6, 3)
        )
        sound(model, graph, (floats(2, 4),))

    def test_outputs_deep_inside_objects(self):
        class Out:
            def __init__(self, **fields):
                self.__dict__.update(fields)

        def run(m, x):
            h = m.a(x)
            return Out(logits=m.b(h), more=Out(inner=[Out(hidden=h)]))

        _, graph = traced(run, floats(2, 4), a=linear(), b=linear(6, 3))
        assert "output of the model" in graph.groups["a"].pinned

    def test_two_words_for_one_activation(self):
        """Dead units are loud after a sigmoid: the sum over activations must not be cut."""
        _, graph = traced(
            lambda m, x: m.b((m.q(x).sigmoid() @ m.k(x).sigmoid().transpose(1, 2)) @ x),
            floats(2, 3, 4),
            q=linear(),
            k=linear(),
            b=linear(4, 3),
        )
        assert "sum over activations" in graph.groups["q"].pinned

    def test_parameters_that_must_be_positive(self):
        model, graph = traced(
            lambda m, x: m.b(m.a(x) * m.t.sqrt()),
            floats(2, 4),
            a=linear(),
            t=nn.Parameter(torch.ones(6)),
            b=linear(6, 3),
        )
        shrink(model, random_plan(graph).keep("a", range(5)))

    def test_a_cast_inside_the_model(self):
        model = Net(lambda m, x: m.b(m.a(x.float()).relu()), a=linear(), b=linear(6, 3))
        graph = trace(model, floats(2, 4).float())
        shrink(model, random_plan(graph).keep("a", range(5)))


class Auxiliary(nn.Module):
    """A head that only training mode runs, reading what the main path reads, with dropout on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(4, 6), nn.Linear(6, 3)
        self.side, self.drop, self.out = nn.Linear(6, 5), nn.Dropout(0.5), nn.Linear(5, 3)

    def forward(self, x):
        x = self.stem(x).relu()
        return (self.head(x), self.out(self.drop(self.side(x)))) if self.training else self.head(x)


def test_branches_that_only_training_runs_are_traced_too():
    model = strengthen_(Auxiliary()).eval()
    graph = trace(model, floats(2, 4))
    assert {name: group.units for name, group in graph.cuttable.items()} == {"stem": 6, "side": 5}
    small = shrink(model, random_plan(graph).keep("stem", [0, 2, 3]).keep("side", [1]))
    assert small.side.weight.shape == (1, 3)
    small.train()(floats(2, 4))


def test_twelve_equal_blocks_have_one_fault(monkeypatch):
    """What mends or pins one block does so for its peers, instead of cutting a copy again for each."""
    from secateur.graph import probe

    calls = []
    real = probe.find_fault
    monkeypatch.setattr(probe, "find_fault", lambda *a: calls.append(1) or real(*a))
    trials = []
    for depth in (2, 6):
        calls.clear()
        trace(ViT(depth=depth), torch.zeros(1, 3, 32, 32))
        trials.append(len(calls))
    assert trials[0] == trials[1]


class CastNorm(nn.LayerNorm):
    """A layer norm of the user's own, as model libraries have them: another class, the same computation."""

    def forward(self, x):
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class ScaledNorm(nn.LayerNorm):
    """One that does more than normalise: only the call of layer_norm is replaced."""

    def forward(self, x):
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps) * 2


@pytest.mark.parametrize(("kind", "may"), [(CastNorm, True), (ScaledNorm, True)])
def test_norms_of_other_classes(kind, may):
    model, graph = traced(lambda m, x: m.b(m.n(m.a(x))), floats(2, 4), a=linear(), n=kind(6), b=linear(6, 3))
    assert ("a" in graph.cuttable) is may
    sound(model, graph, (floats(2, 4),))


class TestLive:
    """What computes over cut dims, and what the masked network makes of it."""

    @pytest.mark.parametrize(
        "use",
        [
            lambda h: h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-6),
            lambda h: h / (h.norm(dim=-1, keepdim=True) + 1e-6),
            lambda h: F.normalize(h, dim=1),
            lambda h: F.softmax(h, -1),
            lambda h: F.rms_norm(h, (h.shape[-1],)),
            lambda h: F.layer_norm(h, h.shape[-1:]),
            lambda h: h * h.amax(1, keepdim=True),
            lambda h: h * h.max(1, keepdim=True)[0],
            lambda h: (h - h.mean(1, keepdim=True)) / (h.var(1, False, True) + 0.1),
            lambda h: (h + 1).sum(1, keepdim=True) * h,
            lambda h: h * (h.relu().norm(dim=0, keepdim=True) / (h.relu().norm(dim=0).mean() + 0.1)),
        ],
    )
    def test_cut(self, use):
        model, graph = traced(lambda m, x: m.b(use(m.a(x))), floats(3, 4), a=linear(), b=linear(6, 3))
        assert "a" in graph.cuttable
        sound(model, graph, (floats(3, 4),))

    def test_one_module_on_two_widths(self):
        """A softmax module that is used on a cut dim of six and on a fixed dim of three leaves the latter alone."""
        model, graph = traced(
            lambda m, x: m.s(m.b(m.s(m.a(x)))), floats(2, 4), a=linear(), b=linear(6, 3), s=nn.Softmax(-1)
        )
        assert "a" in graph.cuttable
        sound(model, graph, (floats(2, 4),))

    def test_one_module_on_two_groups(self):
        """Nothing tells the two calls apart, so both lose the same."""
        model, graph = traced(
            lambda m, x: m.s(m.b(m.s(m.a(x)))).sum(1), floats(2, 4), a=linear(), b=linear(6, 6), s=nn.Softmax(-1)
        )
        assert set(graph.cuttable) == {"a"}
        sound(model, graph, (floats(2, 4),))

    def test_weights_standardised_by_a_batch_norm(self):
        def run(m, x):
            w = m.b.weight
            flat = F.batch_norm(w.reshape(1, len(w), -1), None, None, training=True, momentum=0.0)
            return m.c(F.conv2d(m.a(x), flat.reshape_as(w), m.b.bias).flatten(1))

        model, graph = traced(run, floats(2, 3, 3, 3), a=nn.Conv2d(3, 6, 1), b=nn.Conv2d(6, 4, 3), c=linear(4, 2))
        assert set(graph.cuttable) == {"a", "b"}
        sound(model, graph, (floats(2, 3, 3, 3),))


class Packed(nn.Module):
    """Attention as people write it: sizes from the shape of the input, or as integers of the module."""

    def __init__(self, how, width=12, heads=3):
        super().__init__()
        self.how, self.heads, self.dim = how, heads, width // heads
        self.key_dim, self.value_dim = 2, 6
        self.qkv = nn.Linear(width, 3 * width if how != "unequal" else heads * 10, bias=False)
        self.proj = nn.Linear(width if how != "unequal" else heads * 6, width)

    def forward(self, x):
        b, n, c = x.shape
        if self.how == "unequal":
            q, k, v = self.qkv(x).view(b, n, self.heads, -1).split([self.key_dim, self.key_dim, self.value_dim], 3)
            q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        else:
            q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return self.proj(mixed.reshape(b, n, c) if self.how == "shape" else mixed.flatten(2))


@pytest.mark.parametrize(
    ("how", "units"),
    [
        ("shape", {"0": 4, "1.proj": 12, "2": 5}),
        ("flat", {"0": 4, "1.proj": 12, "2": 5}),
        ("unequal", {"0": 12, "1.qkv": 2, "1.qkv#2": 6, "1.proj": 12, "2": 5}),
    ],
)
def test_attention_as_people_write_it(how, units):
    model = nn.Sequential(nn.Linear(5, 12), Packed(how), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 3))
    model = strengthen_(model).eval()
    graph = trace(model, floats(2, 7, 5))
    assert {name: group.units for name, group in graph.cuttable.items()} == units
    assert graph.rescalings
    sound(model, graph, (floats(2, 7, 5),))


def test_rotary_embeddings_by_pairs():
    """Every second entry and its neighbour turn together."""

    def run(m, x):
        h = m.a(x)
        turned = torch.stack([-h[..., 1::2], h[..., ::2]], -1).flatten(-2)
        return m.b(h * m.cos + turned * m.sin)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 3)
            angle = torch.linspace(0.1, 1, 4).repeat_interleave(2)
            self.register_buffer("cos", angle.cos())
            self.register_buffer("sin", angle.sin())

        def forward(self, x):
            return run(self, x)

    model = strengthen_(Net()).eval()
    graph = trace(model, floats(2, 4))
    assert graph.cuttable["a"].units == 4
    sound(model, graph, (floats(2, 4),))


def test_an_empty_rest():
    """Partial rotary embeddings take `h[..., self.turned:]`, of which nothing is left where all of it is turned."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.turned = nn.Linear(4, 6), nn.Linear(6, 3), 6

        def forward(self, x):
            h = self.a(x)
            return self.b(torch.cat([h[:, : self.turned].tanh(), h[:, self.turned :]], 1))

    model = strengthen_(Net()).eval()
    graph = trace(model, floats(2, 4))
    sound(model, graph, (floats(2, 4),), seeds=(0,) if graph.cuttable else ())
