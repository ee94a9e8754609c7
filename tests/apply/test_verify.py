"""The measure of equality itself: what it must never call equal."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from secateur.apply import verify as module
from secateur.apply.verify import difference, outputs, verify
from secateur.bench.zoo.vit import ViT
from secateur.core.errors import VerificationError
from secateur.core.example import Example
from secateur.core.plan import PruningPlan
from secateur.core.rng import generator
from secateur.granularity import Channel
from secateur.graph import cut as cutting
from secateur.graph.probe import trial_widths
from secateur.graph.trace import trace
from secateur.testing.system import untouched

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("a", "b", "gap"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 4.0], [1.0, 3.0], 0.25),
        ([1.0, INF], [1.0, INF], 0.0),
        ([1.0, INF], [1.0, -INF], INF),
        ([1.0, 2.0], [1.0, INF], INF),
        ([1.0, INF], [1.0, 2.0], INF),
        ([1.0, 2.0], [1.0, NAN], INF),
        ([1.0, NAN], [1.0, 2.0], INF),
        ([NAN, NAN], [NAN, NAN], INF),
        ([1.0], [1.0, 1.0], INF),
        ([], [], 0.0),
    ],
)
def test_difference(a, b, gap):
    assert difference([torch.tensor(a)], [torch.tensor(b)]) == gap
    good = torch.ones(2)  # a wrong output must not hide behind right ones, on either side
    for first, second in (
        ([good, torch.tensor(a)], [good, torch.tensor(b)]),
        ([torch.tensor(a), good], [torch.tensor(b), good]),
    ):
        assert difference(first, second) == gap


class Overflowing(nn.Module):
    """Gives nothing but infinities, so that any two such networks look alike."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.b(self.a(x)).abs() * 1e200 * 1e200 * 1e200


def test_infinite_answers_prove_nothing():
    model = Overflowing()
    graph = trace(model, torch.randn(2, 3))
    with pytest.raises(VerificationError, match="no finite numbers"):
        verify(model, PruningPlan(trial_widths(graph), Channel(), graph))


class Picky(nn.Module):
    """Mixes samples and channels where there are three samples, and does not run in training mode."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 6), nn.Linear(6, 2)

    def forward(self, x):
        if self.training:
            raise RuntimeError("inference only")
        hidden = self.a(x)
        return self.b(hidden - hidden.mean(1, keepdim=True) if len(x) == 3 else hidden)


def test_a_network_that_does_not_train_is_still_tried_on_more_samples():
    model = Picky()
    graph = trace(model, torch.randn(2, 3))
    with pytest.raises(VerificationError, match="differ"):
        verify(model, PruningPlan(trial_widths(graph), Channel(), graph))


@pytest.fixture
def fillings(monkeypatch):
    """How networks were filled, in turn."""
    seen = []
    real = module.strengthen_
    monkeypatch.setattr(module, "strengthen_", lambda m, **how: seen.append((_type(m), how)) or real(m, **how))
    return seen


def _type(model):
    return next(model.parameters()).dtype


SINGLE = (torch.float32, {"positive": False, "double": False})
DOUBLE = (torch.float64, {"positive": False, "double": True})


def cut(model, *inputs):
    graph = trace(model, inputs)
    return PruningPlan(trial_widths(graph), Channel(), graph)


@pytest.mark.parametrize(("dtype", "how"), [(torch.float32, SINGLE), (torch.float64, DOUBLE), (torch.bfloat16, SINGLE)])
def test_the_shrunk_network_is_judged_by_the_first_trial_that_agrees(fillings, dtype, how):
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2)).to(dtype)
    plan = cut(model, torch.randn(2, 3, dtype=dtype))
    with untouched(model):
        assert verify(model, plan) < (1e-12 if how is DOUBLE else 1e-5)
    assert fillings == [how]


class Cancelling(nn.Module):
    """Right, and so ill-conditioned that float32 gives noise: a small difference of large numbers."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 32), nn.Linear(32, 2)

    def forward(self, x):
        h = self.a(x)
        return self.b(h + 1e4) - self.b(torch.full_like(h, 1e4))


def test_an_ill_conditioned_network_is_judged_in_float64(fillings):
    model = Cancelling()
    assert verify(model, cut(model, torch.randn(2, 3))) < 1e-9
    assert fillings == [SINGLE, DOUBLE]


class Narrow(nn.Module):
    """Right, ill-conditioned, and its forward takes a product in float32 whatever its own type."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 400), nn.Linear(400, 2)

    def forward(self, x):
        return torch.sin(1e4 * F.linear(self.a(x).float(), self.b.weight.float())).to(x.dtype)


class Chaotic(nn.Module):
    """Right, and in training mode it turns the last digit into one of the first."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 400), nn.Linear(400, 2)

    def forward(self, x):
        x = self.b(self.a(x))
        return torch.sin(1e9 * x) if self.training else x


def test_rounding_that_a_network_amplifies_is_no_fault():
    model = Chaotic()
    plan = cut(model, torch.randn(2, 3))
    first, second = module._pair(model, plan, module.TRIALS[1])
    example = module._example(model, plan, torch.float64)
    amplified = difference(outputs(first, example, training=True), outputs(second, example, training=True))
    assert 1e-7 < amplified < 1e-3
    assert verify(model, plan) < 1e-12


class Wild(Chaotic):
    """Right, and nothing but rounding unless all numbers are positive."""

    def __init__(self):
        super().__init__()
        self.much = nn.Parameter(torch.ones(9))

    def forward(self, x):
        x = self.b(self.a(x))
        return x + torch.sin(1e17 * torch.relu(-self.much).sum() * x)


def test_a_trial_that_rounding_makes_worthless_is_not_the_last(fillings, monkeypatch):
    model = Wild()
    plan = cut(model, torch.randn(2, 3))
    assert verify(model, plan) < 1e-12
    assert fillings[-1][1]["positive"]
    real = cutting.cut_
    monkeypatch.setattr(cutting, "cut_", lambda m, *rest: (real(m, *rest), m.b.weight.data[:, 0].mul_(1.01)))
    with pytest.raises(VerificationError, match="differ by"):
        verify(model, plan)


@pytest.mark.parametrize("size", [1e-2, 1e-6, 1e-9])
def test_a_fault_in_training_mode_of_such_a_network_is_seen(monkeypatch, size):
    model, real = Chaotic(), cutting.cut_
    plan = cut(model, torch.randn(2, 3))
    monkeypatch.setattr(cutting, "cut_", lambda m, *rest: (real(m, *rest), m.b.bias.data.add_(size)))
    monkeypatch.setattr(
        module,
        "_first_answer",
        lambda *a, training, real=module._first_answer: real(*a, training=True),  # eval mode would see it first
    )
    with pytest.raises(VerificationError, match="differ by"):
        verify(model, plan)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_forward_that_insists_on_float32_is_judged_in_float64(dtype):
    model = Narrow().to(dtype)
    assert verify(model, cut(model, torch.randn(2, 3, dtype=dtype))) < 1e-9


def test_a_wrong_cut_of_a_forward_that_insists_on_float32_is_seen(monkeypatch):
    model, real = Narrow(), cutting.cut_
    plan = cut(model, torch.randn(2, 3))
    monkeypatch.setattr(cutting, "cut_", lambda m, *rest: (real(m, *rest), m.b.weight.data[:, 0].mul_(1.0001)))
    with pytest.raises(VerificationError, match="differ by"):
        verify(model, plan)


def _drop_the_bias(shrunk):
    shrunk.blocks[0].mlp[0].bias.zero_()


def _swap_channels(shrunk):
    weight = shrunk.blocks[0].mlp[2].weight
    weight.copy_(weight[:, [1, 0, *range(2, weight.shape[1])]])


def _misalign_heads(shrunk):
    weight = shrunk.blocks[0].attention.proj.weight
    weight.copy_(weight.unflatten(1, (4, -1)).roll(1, 1).flatten(1))


def _wake_a_unit(shrunk):
    """What the shrunk network would compute if one unit more were alive."""
    shrunk.blocks[0].mlp[2].weight[:, 0] *= 2


def _scale_attention(shrunk):
    shrunk.blocks[0].attention.scale *= 1.01


@pytest.mark.parametrize("spoil", [_drop_the_bias, _swap_channels, _misalign_heads, _wake_a_unit, _scale_attention])
def test_a_wrong_cut_is_seen_in_float32(monkeypatch, spoil):
    """Whatever weights the model was made with: with its own, of size 0.02, some of these differ by 1e-6."""
    model = ViT(width=16, depth=1)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.02, generator=generator(0, "init"))
    real = cutting.cut_
    monkeypatch.setattr(cutting, "cut_", lambda m, *a: (real(m, *a), spoil(m.requires_grad_(False))))
    monkeypatch.setattr(module, "TRIALS", module.TRIALS[:1])  # agreement in float32 would end it
    plan = cut(model, torch.randn(2, 3, 32, 32))
    with pytest.raises(VerificationError, match="no finite numbers"):
        verify(model, plan)
    monkeypatch.setattr(cutting, "cut_", real)
    assert verify(model, plan) < 1e-5


class Roots(nn.Module):
    """Gives numbers for positive weights only."""

    def __init__(self):
        super().__init__()
        self.a, self.t, self.b = nn.Linear(3, 6), nn.Parameter(torch.ones(6)), nn.Linear(6, 2)

    def forward(self, x):
        return self.b(self.a(x) * self.t.sqrt())


def test_a_network_that_needs_positive_weights(fillings):
    model = Roots()
    assert verify(model, cut(model, torch.randn(2, 3))) < 1e-12
    assert fillings == [SINGLE, DOUBLE, DOUBLE, (torch.float64, {"positive": True, "double": True})]


class Dropped(nn.Module):
    """Dropout between layers, in one of the ways to write it, beside a fault that only training mode shows."""

    def __init__(self, drop, wrong):
        super().__init__()
        self.a, self.b, self.drop, self.wrong = nn.Linear(4, 16), nn.Linear(16, 3), drop, wrong

    def forward(self, x):
        h = self.a(x)
        h = self.drop(h) if self.training else h
        return self.b(h - h.mean(1, keepdim=True) if self.training and self.wrong else h)


DROPS = {
    "dropout": lambda h: F.dropout(h, 0.5),
    "in place": lambda h: F.dropout(h, 0.5, inplace=True),
    "alpha": lambda h: F.alpha_dropout(h, 0.5, training=True),
    "feature": lambda h: F.feature_alpha_dropout(h[:, :, None], 0.5, training=True)[:, :, 0],
    "bernoulli": lambda h: h * torch.bernoulli(torch.full_like(h, 0.5)),
    "probability": lambda h: h * torch.bernoulli(h, 0.5),
    "drop path": lambda h: h.div(0.5) * h.new_empty(len(h), 1).bernoulli_(0.5),
    "nothing left": lambda h: h * torch.empty_like(h).bernoulli_(0.0) + h,
}


@pytest.mark.parametrize("drop", DROPS.values(), ids=DROPS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dropout_hides_no_fault(drop, dtype):
    """What is dropped at random cannot be compared; so nothing is, and what training mode computes can be."""
    model = Dropped(drop, False).to(dtype)
    plan = cut(model, torch.randn(2, 4, dtype=dtype))
    verify(model, plan)
    with pytest.raises(VerificationError, match="differ"):
        verify(Dropped(drop, True).to(dtype), plan)


def test_training_mode_keeps_what_is_possible():
    x = torch.ones(2, 3)
    layer = nn.Dropout(1.0)
    assert torch.equal(outputs(layer, Example.of(x), training=True)[0], torch.zeros(2, 3))
    assert torch.equal(outputs(nn.Dropout(0.5), Example.of(x), training=True)[0], 2 * x)
    assert torch.equal(outputs(nn.Dropout(0.5), Example.of(x))[0], x)


class Noisy(nn.Module):
    """Draws as many numbers as there are units: training mode cannot be compared, but sizes can."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 16), nn.Linear(16, 3)

    def forward(self, x):
        h = self.a(x)
        return self.b(h + torch.randn_like(h) if self.training else h)


def test_noise_is_no_fault():
    model = Noisy()
    assert verify(model, cut(model, torch.randn(2, 4))) < 1e-5


def test_one_sample_more_is_tried_in_eval_mode():
    class Batchy(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 6), nn.Linear(6, 2)

        def forward(self, x):
            hidden = self.a(x)
            return self.b(hidden - hidden.mean(1, keepdim=True) if len(x) == 3 and not self.training else hidden)

    with pytest.raises(VerificationError, match="differ"):
        verify(Batchy(), cut(Batchy(), torch.randn(2, 3)))


def test_a_network_for_one_batch_size():
    class Fixed(nn.Module):
        def __init__(self, wrong=False):
            super().__init__()
            self.a, self.b, self.wrong = nn.Linear(3, 6), nn.Linear(6, 2), wrong

        def forward(self, x):
            hidden = self.a(x.view(2, 3))
            return self.b(hidden - hidden.mean(1, keepdim=True) if self.wrong else hidden)

    plan = cut(Fixed(), torch.randn(2, 3))
    assert verify(Fixed(), plan) < 1e-5
    with pytest.raises(VerificationError, match="differ"):
        verify(Fixed(wrong=True), plan)


@pytest.mark.parametrize("shape", [(), (5,), (1, 3), (7, 131_071), (2, 300_000), (64, 3, 3, 3)])
def test_no_two_rows_are_equal(shape):
    layer = nn.Module()
    layer.register_parameter("weight", nn.Parameter(torch.zeros(shape)))
    module.strengthen_(layer, double=False)
    rows = layer.weight.detach().reshape(shape[0] if shape else 1, -1)
    assert len({tuple(row[:50].tolist()) for row in rows}) == len(rows) or shape == (7, 131_071)
    fan_in = rows[0].numel() if len(shape) > 1 else 0
    size = (2 / fan_in) ** 0.5 if fan_in else 1.0
    assert 0.5 < float(rows.square().mean().sqrt()) / size < 1.6


def test_two_tensors_of_one_shape_differ_and_positive_is_positive():
    model = nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5), nn.Linear(5, 5))
    module.strengthen_(model, positive=True)
    assert all(bool((p > 0).all()) and p.dtype is torch.float64 for p in model.parameters())
    assert not torch.equal(model[0].weight, model[2].weight)
    assert bool((model[1].running_var >= 0.5).all()) and bool((model[1].running_mean <= 1.5).all())


def test_channels_last_weights_are_filled_in_place():
    layer = nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last)
    plain = nn.Conv2d(4, 6, 3)
    for one in (layer, plain):
        module.strengthen_(one)
    assert torch.equal(layer.weight, plain.weight) and layer.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("positive", [False, True])
def test_weights_are_what_they_were_after_they_trembled(positive):
    """They are drawn again and not kept, which for a large network would be a copy in float64 more."""
    model = ViT(size=8, patch=4, width=16, depth=1, heads=2)
    graph = trace(model, torch.randn(1, 3, 8, 8))
    plan = PruningPlan(trial_widths(graph), Channel(), graph)
    trial = module.Trial(torch.float64, 1e-7, positive=positive)
    masked, _ = module._pair(model, plan, trial)
    example = module._example(model, plan, torch.float64)
    before = {name: p.clone() for name, p in masked.named_parameters()}
    answer = module._first_answer(masked, [example], training=False)
    assert 0 < module._tremor(masked, answer, positive) < 1e-12
    assert any(bool((p == 0).any()) for p in before.values())
    assert all(torch.equal(p, before[name]) for name, p in masked.named_parameters())


class Louder(nn.Module):
    """Says something else in training mode, by a number; one of its parameters is empty."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 6), nn.Linear(6, 2)
        self.none, self.loud = nn.Parameter(torch.ones(0, 6)), 2.0

    def forward(self, x):
        x = self.b(self.a(x).relu())
        return x * self.loud if self.training else x


def test_a_difference_in_training_mode_alone_is_called_that(monkeypatch):
    model, real = Louder(), cutting.cut_
    plan = cut(model, torch.randn(2, 3))
    assert verify(model, plan) < 1e-5
    monkeypatch.setattr(cutting, "cut_", lambda m, *rest: (real(m, *rest), setattr(m, "loud", 3.0)))
    with pytest.raises(VerificationError, match="differ in training mode alone by 5"):
        verify(model, plan)
