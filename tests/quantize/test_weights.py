"""Quantized weights in networks: gradients against float64 autograd and closed forms, masks, ties, channels last."""

import copy
import math

import pytest
import torch
from torch import nn

import secateur
from secateur.apply.masking import unmask_
from secateur.core.errors import IncompatibleError, UnknownNameError
from secateur.criteria import Magnitude
from secateur.granularity import Weight
from secateur.quantize import dequantize_, is_quantized, quantize, quantized_of
from secateur.quantize.trainable import LearnedStep
from secateur.quantizers import BWN, KMeans, SymmetricLevels, Uniform


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))


X = torch.linspace(-1, 1, 2 * 2 * 16).view(2, 2, 4, 4)


def masked():
    model = net()
    graph = secateur.trace(model, X)
    scores = secateur.score(
        graph, Magnitude(), secateur.collect(model, None, Magnitude.needs, graph=graph), granularity=Weight()
    )
    return secateur.mask(model, secateur.plan(graph, scores, secateur.Budget(0.4, "weights")))


def gradients(model, x=X):
    loss = (model(x) * torch.arange(1.0, 4, dtype=x.dtype)).sum()
    return torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad], allow_unused=True)


@pytest.mark.parametrize("quantizer", [KMeans(bits=2), SymmetricLevels(magnitudes=3), BWN()], ids=repr)
def test_levels_get_the_sum_over_their_entries(quantizer):
    """Against the gradient of an unshared weight, summed by value with numpy-like loops, in float64."""
    plain = net().double()
    x = X.double()
    model = quantize(plain, quantizer)
    baked = dequantize_(copy.deepcopy(model))
    dense = dict(zip(dict(baked.named_parameters()), gradients(baked, x), strict=True))
    model(x).mul(torch.arange(1.0, 4, dtype=x.dtype)).sum().backward()
    for name in ("0.weight", "3.weight"):
        value, gradient = dict(baked.named_parameters())[name].detach().flatten(), dense[name].flatten()
        shared = model.get_submodule(name.split(".")[0]).parametrizations["weight"][-1]
        for magnitude, got in zip(shared.magnitudes.detach(), shared.magnitudes.grad, strict=True):
            wanted = gradient[value == magnitude].sum()
            if quantizer.pairs:
                wanted = wanted - gradient[value == -magnitude].sum()
            assert float(got) == pytest.approx(float(wanted), rel=1e-9)


@pytest.mark.parametrize("quantizer", [KMeans(bits=2), SymmetricLevels(magnitudes=2)], ids=repr)
def test_levels_and_weights_are_trained_together(quantizer):
    """Levels get the sum over their entries, weights what an unshared weight gets; both by float64 autograd."""
    plain = unmask_(masked()).double()
    x = X.double()
    model = quantize(plain, quantizer, train="both")
    baked = dequantize_(copy.deepcopy(model))
    dense = dict(zip(dict(baked.named_parameters()), gradients(baked, x), strict=True))
    model(x).mul(torch.arange(1.0, 4, dtype=x.dtype)).sum().backward()
    for name in ("0", "3"):
        value, gradient = baked.get_submodule(name).weight.detach(), dense[f"{name}.weight"]
        chain = model.get_submodule(name).parametrizations["weight"]
        torch.testing.assert_close(chain.original.grad, gradient * (value != 0))
        for magnitude, got in zip(chain[-1].magnitudes.detach(), chain[-1].magnitudes.grad, strict=True):
            wanted = gradient[value == magnitude].sum()
            if quantizer.pairs:
                wanted = wanted - gradient[value == -magnitude].sum()
            assert float(got) == pytest.approx(float(wanted), rel=1e-9)


def test_weights_change_levels_and_levels_cross():
    plain = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        plain.weight.copy_(torch.tensor([[0.0, 1.0, 1.2, 3.0]]))
    model = quantize(plain, KMeans(bits=1), train="both")
    chain = model.parametrizations["weight"]
    assert model.weight.tolist() == [[0, pytest.approx(1.1), pytest.approx(1.1), 3]]
    with torch.no_grad():
        chain.original.copy_(torch.tensor([[5.0, 1.0, 2.9, 0.1]]))  # what was pruned stays zero, wherever it is
        chain[-1].magnitudes.copy_(torch.tensor([3.5, 0.5]))  # in reverse
    assert model.weight.tolist() == [[0, 0.5, 3.5, 0.5]]
    assert quantized_of(model)["weight"].values().tolist() == [[0, 0.5, 3.5, 0.5]]
    assert dequantize_(model).weight.tolist() == [[0, 0.5, 3.5, 0.5]]


def test_a_tensor_of_zeros_stays_one():
    plain = nn.Linear(3, 2)
    nn.init.zeros_(plain.bias)
    model = quantize(plain, SymmetricLevels(magnitudes=2), only=["weight", "bias"], train="both")
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(torch.ones(4, 3)).square().sum().backward()
    optimizer.step()
    assert not bool(dequantize_(model).bias.any())


@pytest.mark.parametrize("train", ["levels", "both", "weights"])
def test_zeros_have_no_sign(train):
    """A minus zero has a bit set, and is something that a file has to say."""
    found = dequantize_(quantize(unmask_(masked()), KMeans(bits=2), train=train))
    for layer in (found[0], found[3]):
        assert not bool(torch.signbit(layer.weight[layer.weight == 0]).any())


def test_what_is_behind_shared_levels_does_not_move():
    model = quantize(net(), KMeans(bits=2))
    behind = model[0].parametrizations["weight"].original
    before = behind.detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    model(X).sum().backward()
    optimizer.step()
    assert torch.equal(behind, before)


def test_learned_step_gradient():
    """Equation 3 of the paper, and the straight-through gradient of the weight, by hand."""
    weight = torch.tensor([0.3, -0.9, 2.6, -5.0, 0.0], dtype=torch.float64, requires_grad=True)
    quantized = Uniform(bits=3, per="tensor").quantize(torch.tensor([3.0]))  # step 1, codes -3..3
    found = LearnedStep(weight, quantized, (-3, 3), torch.ones(5, dtype=torch.bool))
    got = found(weight)
    assert got.tolist() == [0, -1, 3, -3, 0]
    up = torch.tensor([1.0, 10.0, 100.0, 1000.0, 5.0], dtype=torch.float64)
    got.backward(up)
    assert weight.grad.tolist() == [1, 10, 100, 0, 5]
    by_step = [0 - 0.3, -1 + 0.9, 3 - 2.6, -3, 0]
    wanted = sum(a * b for a, b in zip(by_step, up.tolist(), strict=True)) / math.sqrt(5 * 3)
    assert float(found.step.grad) == pytest.approx(wanted, rel=1e-12)


def test_straight_through():
    """The gradient of the weight is that of its quantized value, and nothing where the range cuts it off."""
    plain = nn.Linear(50, 1, bias=False)
    with torch.no_grad():
        plain.weight.copy_(torch.linspace(-1, 1, 50) ** 3)
    model = quantize(plain, Uniform(bits=4, range="percentile", percentile=80.0), train="weights")
    x = torch.linspace(1, 2, 50)[None]
    model(x).sum().backward()
    found = quantized_of(model)["weight"]
    cut = (plain.weight.abs() > found.scale * 7.5001).flatten()
    assert 5 < int(cut.sum()) < 15
    gradient = model.parametrizations["weight"].original.grad.flatten()
    assert torch.equal(gradient, torch.where(cut, 0.0, x.flatten()))


@pytest.mark.parametrize(
    ("quantizer", "train"),
    [(KMeans(bits=2), "levels"), (KMeans(bits=2), "weights"), (Uniform(bits=4), "weights"), (Uniform(bits=4), "steps"), (Uniform(bits=4, symmetric=False), "steps")],
)  # fmt: skip
def test_masks_stay(quantizer, train):
    """What is pruned is zero before and after training, and after baking; the mask is still a mask."""
    student = masked()
    keep = {name: p.keep.clone() for name, p in [("0.weight", student[0].parametrizations["weight"][0])]}
    model = quantize(student, quantizer, train=train)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(4):
        optimizer.zero_grad()
        model(X).square().sum().backward()
        optimizer.step()
    values = quantized_of(model)["0.weight"].values()
    assert torch.equal(model[0].weight, values)
    assert not values[~keep["0.weight"]].any()
    answer = model(X)
    dequantize_(model)
    assert not is_quantized(model)
    assert torch.equal(model(X), answer)
    assert secateur.apply.masking.is_masked(model)
    assert not model[0].weight[~keep["0.weight"]].any()
    assert type(student[0]).__name__ == type(model[0]).__name__
    student(X)  # the copy's classes are its own


def test_masking_comes_first():
    """Masking again what is quantized is refused, whether it was masked before or not; shrinking keeps its values."""
    graph = secateur.trace(net(), X)
    plan = secateur.plan_by_hand(graph, {"0": [0, 2]})
    with pytest.raises(IncompatibleError, match="dequantize_"):
        secateur.mask(quantize(secateur.mask(net(), plan), KMeans(bits=2)), plan)
    with pytest.raises(IncompatibleError, match="fingerprint"):
        secateur.mask(quantize(net(), KMeans(bits=2)), plan)
    student = quantize(secateur.mask(net(), plan), KMeans(bits=2))
    small = secateur.shrink(student, plan)
    assert len(small[3].weight.unique()) <= 4
    assert torch.allclose(small(X), student(X), atol=1e-6)


def test_unmasking_bakes_the_values():
    model = quantize(masked(), KMeans(bits=2))
    wanted = model[3].weight.detach().clone()
    answer = model(X)
    plain = secateur.apply.masking.unmask_(copy.deepcopy(model))
    assert torch.equal(plain[3].weight, wanted)
    assert torch.equal(plain(X), answer)
    assert secateur.measure(model, X, runtimes=()).params == secateur.measure(net(), X, runtimes=()).params


def test_the_model_is_untouched_and_names_come_back():
    model = net()
    before = copy.deepcopy(model.state_dict())
    classes = [type(m) for m in model.modules()]
    one = quantize(model, KMeans(bits=2), only=("0.*",))
    two = quantize(one, Uniform(bits=4), only=("3.weight",))
    assert set(quantized_of(one)) == {"0.weight", "0.bias"}
    assert set(quantized_of(two)) == {"0.weight", "0.bias", "3.weight"}
    dequantize_(two)
    assert set(quantized_of(one)) == {"0.weight", "0.bias"}
    one(X)
    assert list(two.state_dict()) == list(before)
    assert [type(m) for m in two.modules()] == classes == [type(m) for m in model.modules()]
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())


def test_patterns():
    model = net()
    assert set(quantized_of(quantize(model, BWN()))) == {"0.weight", "3.weight"}
    assert set(quantized_of(quantize(model, BWN(), frozen=("3.*",)))) == {"0.weight"}
    assert set(quantized_of(quantize(model, BWN(), only=("*",), frozen=("*.bias",)))) == {"0.weight", "3.weight"}
    with pytest.raises(UnknownNameError, match=r"'4\.\*' matches no parameter.*0\.weight"):
        quantize(model, BWN(), only=("4.*",))
    with pytest.raises(IncompatibleError, match=r"'weights' or 'steps'.*got train='levels'"):
        quantize(model, Uniform(), train="levels")
    with pytest.raises(IncompatibleError, match="'levels' or 'weights'"):
        quantize(model, BWN(), train="steps")


def test_tied_parameters_share_levels():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))

    model = quantize(Tied(), KMeans(bits=1))
    assert set(quantized_of(model)) == {"a.weight"}
    assert sum(p.numel() for n, p in model.named_parameters() if n.endswith("magnitudes")) == 2
    model(torch.ones(2, 4)).sum().backward()
    with torch.no_grad():
        model.a.parametrizations["weight"][-1].magnitudes.add_(1.0)
    assert torch.equal(model.a.weight, model.b.weight)
    dequantize_(model)
    assert model.a.weight is model.b.weight
    assert len(model.a.weight.unique()) == 2


def test_recurrent_layers_compute_with_quantized_weights():
    plain = nn.LSTM(3, 4)
    x = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))
    model = quantize(plain, KMeans(bits=2))
    answer = model(x)[0]
    baked = dequantize_(copy.deepcopy(model))
    assert torch.equal(baked(x)[0], answer)
    assert list(baked.state_dict()) == list(plain.state_dict())
    assert not torch.equal(plain(x)[0], answer)


def test_channels_last_stays():
    model = net().to(memory_format=torch.channels_last)
    student = quantize(model, KMeans(bits=2))
    assert student[0].weight.is_contiguous(memory_format=torch.channels_last)
    plain = quantize(net(), KMeans(bits=2))
    assert torch.equal(student[0].weight, plain[0].weight)
    assert torch.equal(quantized_of(student)["0.weight"].codes, quantized_of(plain)["0.weight"].codes)


def test_computed_weights():
    """A weight of the user's own parametrisation is left out, and refused by name."""
    model = nn.Sequential(torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), nn.Linear(3, 2))
    assert set(quantized_of(quantize(model, BWN()))) == {"1.weight"}
    with pytest.raises(IncompatibleError, match=r"0\.weight is computed"):
        quantize(model, BWN(), only=("0.weight",))


def test_state_and_copies():
    model = quantize(net(), KMeans(bits=2))
    other = quantize(net(), KMeans(bits=2, start="density"))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(X), model(X))
    twin = copy.deepcopy(model)
    dequantize_(twin)
    assert is_quantized(model)
    model(X)
