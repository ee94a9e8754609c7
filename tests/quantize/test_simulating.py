"""Simulated integers against a runtime's own, bit by bit, and corrections against what they promise."""

import copy

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from secateur.core.errors import IncompatibleError, UnknownNameError
from secateur.core.recipe import FineTune
from secateur.core.rng import generator
from secateur.files.onnx_bytes import session
from secateur.quantize import (
    Activations,
    AdaRound,
    correct_biases_,
    dequantize_,
    equalize_,
    fold_norms,
    integer_layers,
    remove_input_grids_,
    round_adaptively_,
    simulate,
)
from secateur.quantize.saturation import exact_bits
from secateur.quantize.simulating import input_grids
from secateur.quantizers import KMeans, Uniform
from secateur.training.loop import train_


def images(n=16, channels=3, seed=0):
    return torch.randn(n, channels, 8, 8, generator=generator(seed, "images"))


def away(found, wanted):
    return float((found - wanted).detach().norm() / wanted.detach().norm())


def net(activation=nn.ReLU):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), activation(),
        nn.Conv2d(8, 8, 3, groups=8, bias=False), nn.BatchNorm2d(8), activation(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip
    for seed in range(3):
        model(images(seed=seed))
    return model.eval()


BATCHES = [(images(seed=s), torch.arange(16) % 4) for s in range(3)]


def qdq(kind, x, layer, simulated, **attributes):
    """A model of one layer between quantize and dequantize nodes, with the scales of a simulated one, in the runtime."""
    given, out = simulated.grid, Activations()
    y = simulated(x)
    low, high = float(y.min()), float(y.max())
    scale = np.float32((max(high, 0) - min(low, 0)) / 255)
    zero = np.uint8(round(-min(low, 0) / scale))
    assert out.bounds == (0, 255)
    unit = np.asarray(simulated.unit(), np.float32)
    tensors = {
        "sx": np.asarray(given.step.detach(), np.float32).reshape(()),
        "zx": np.asarray(given.zero, np.uint8).reshape(()),
        "w": np.asarray(simulated.weight.codes, np.int8),
        "sw": np.asarray(simulated.weight.scale, np.float32),
        "zw": np.zeros(len(simulated.weight.scale), np.int8),
        "b": np.asarray(simulated.bias(), np.int32),
        "sb": unit,
        "zb": np.zeros(len(unit), np.int32),
        "sy": np.asarray(scale),
        "zy": np.asarray(zero),
    }
    weight = ["wd"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "sx", "zx"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"], axis=0),
        helper.make_node("DequantizeLinear", ["b", "sb", "zb"], ["bd"], axis=0),
        helper.make_node(kind, ["xd", *weight, "bd"], ["y"], **attributes),
        helper.make_node("QuantizeLinear", ["y", "sy", "zy"], ["yq"]),
    ]
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, tuple(x.shape))],
        [
            helper.make_tensor_value_info(name, kind, None)
            for name, kind in (("xq", TensorProto.UINT8), ("yq", TensorProto.UINT8))
        ],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    xq, yq = session(model.SerializeToString()).run(None, {"x": x.numpy()})
    return torch.as_tensor(xq), torch.as_tensor(yq), float(scale), int(zero)


@pytest.mark.parametrize("seed", range(3))
def test_codes_are_the_runtimes(seed):
    """Convolution, signed input: codes of the input and of the output, every one of them, in ONNX Runtime."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1))
    exact = Uniform(bits=exact_bits(lambda content: lambda inputs: session(content).run(None, inputs)))
    simulated = integer_layers(simulate(model, BATCHES, weights=exact))["0"]
    x = images(seed=seed)
    xq, yq, scale, zero = qdq("Conv", x, model[0], simulated, strides=[2, 2], pads=[1, 1, 1, 1])
    assert torch.equal(simulated.grid.codes(x), xq.int())
    mine = torch.round(simulated(x).double() / scale).add(zero).clamp(0, 255)
    off = (mine - yq.double()).abs()
    # single precision may take a half the other way
    assert float(off.max()) <= 1
    assert float((off > 0).double().mean()) < 1e-3


def test_sums_are_the_runtimes():
    """ConvInteger has no rounding at all: the sums are equal as whole numbers."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1))
    simulated = integer_layers(simulate(model, BATCHES))["0"]
    codes = simulated.grid.codes(images())
    node = helper.make_node("ConvInteger", ["x", "w", "zx"], ["y"], pads=[1, 1, 1, 1])
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, tuple(codes.shape))],
        [helper.make_tensor_value_info("y", TensorProto.INT32, None)],
        [
            numpy_helper.from_array(np.ascontiguousarray(simulated.weight.codes.numpy().astype(np.int8)), "w"),
            numpy_helper.from_array(np.asarray(simulated.grid.zero, np.uint8).reshape(()), "zx"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (sums,) = session(model.SerializeToString()).run(None, {"x": codes.numpy().astype(np.uint8)})
    assert torch.equal(torch.as_tensor(sums).long(), simulated.sums(codes))


def test_the_simulated_network_is_the_integer_one():
    """Layer by layer, floating point on grids and whole numbers give the same, up to the rounding of the bias."""
    model = simulate(net(), BATCHES)
    seen = {}
    for name in integer_layers(model):
        model.get_submodule(name).register_forward_hook(
            lambda m, args, out, name=name: seen.update({name: (args[0], out)})
        )
    model(images(seed=9))
    for name, layer in integer_layers(model).items():
        x, out = seen[name]
        unit = float(layer.unit().max())
        assert float((layer(x) - out).detach().abs().max()) <= 0.51 * unit + 1e-5


def test_activations_behind_a_relu_are_unsigned():
    grids = input_grids(simulate(net(), BATCHES))
    assert int(grids["0"].zero) > 50
    assert int(grids["3"].zero) == int(grids["8"].zero) == 0


@pytest.mark.parametrize("how", ["minmax", "percentile", "mse", "kl"])
def test_every_range_is_close(how):
    model = net()
    found = simulate(model, BATCHES, activations=Activations(range=how))
    x = images(seed=5)
    assert away(found(x), model(x)) < 0.05


def test_norms_are_folded():
    model = net()
    folded = fold_norms(model, images())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert torch.allclose(folded(images(seed=4)), model(images(seed=4)), atol=1e-5)
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.modules())


def test_a_norm_whose_layer_is_read_twice_stays():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
            self.norm.running_mean.add_(1.0)

        def forward(self, x):
            y = self.conv(x)
            return self.norm(y) + y

    model = Twice().eval()
    folded = fold_norms(model, images())
    assert isinstance(folded.norm, nn.BatchNorm2d)
    assert torch.equal(folded(images()), model(images()))


def test_equalising_balances_channels_and_changes_nothing():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.Conv2d(8, 5, 1)
    ).eval()
    with torch.no_grad():
        uneven = torch.logspace(-2, 2, 8).view(-1, 1, 1, 1)
        model[0].weight.mul_(uneven)
        model[0].bias.mul_(uneven.flatten())
        model[2].weight.div_(uneven)
    before = model(images())
    coarse = Uniform(per="tensor", bits=6)
    error = away(simulate(model, BATCHES, weights=coarse)(images()), before)
    assert equalize_(model, images()) == 2
    assert torch.allclose(model(images()), before, atol=1e-3 * float(before.detach().abs().max()))
    made, read = model[2].weight.flatten(1).abs().amax(1), model[4].weight.flatten(1).abs().amax(0)
    assert torch.allclose(made, read, rtol=1e-4)
    after = away(simulate(model, BATCHES, weights=coarse)(images()), before)
    assert after < 0.2 * error


def test_equalising_leaves_relu6_and_skips_alone():
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.relu, self.b = nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1)

        def forward(self, x):
            y = self.relu(self.a(x))
            return self.b(y) + y

    torch.manual_seed(0)
    for model in (Skip().eval(), nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU6(), nn.Conv2d(4, 2, 1)).eval()):
        before = copy.deepcopy(model.state_dict())
        assert equalize_(model, images()) == 0
        assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())


def test_bias_correction_restores_means():
    model = net()
    x = torch.cat([x for x, _ in BATCHES])
    rough = simulate(model, BATCHES, weights=Uniform(bits=3))
    off = (rough(x) - model(x)).detach().mean(0).abs().max()
    correct_biases_(rough, model, BATCHES)
    assert rough[0].bias is not None
    assert float((rough(x) - model(x)).detach().mean(0).abs().max()) < 0.1 * float(off)


def test_adaptive_rounding_is_never_worse_than_the_nearest():
    model = net()
    rough = simulate(model, BATCHES, weights=Uniform(bits=3))
    x = torch.cat([x for x, _ in BATCHES])
    before = float((rough(x) - model(x)).detach().square().mean())
    codes = {name: layer.weight.codes for name, layer in integer_layers(rough).items()}
    original = {name: rough.get_submodule(name).parametrizations["weight"].original.detach().clone() for name in codes}
    found = round_adaptively_(rough, model, BATCHES, AdaRound(steps=100, lr=0.03, samples=16))
    assert list(found) == ["0", "3", "8"]
    assert all(now <= nearest for nearest, now in found.values())
    assert sum(now < 0.9 * nearest for nearest, now in found.values()) >= 2
    assert float((rough(x) - model(x)).detach().square().mean()) < before
    for name, layer in integer_layers(rough).items():
        assert int((layer.weight.codes - codes[name]).abs().max()) <= 1
        away = (layer.weight.codes * layer.weight.scale.view(-1, *[1] * (codes[name].ndim - 1)) - original[name]).abs()
        assert bool((away <= layer.weight.scale.max() * 1.001).all())


def test_adaptive_rounding_of_one_output_by_brute_force():
    """Five weights: all 32 roundings are tried; the learned one is the best or near it, and beats the nearest."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(5, 1))
    x = torch.rand(64, 5, generator=generator(0, "x")) + torch.rand(64, 1, generator=generator(1, "x"))
    rough = simulate(model, [(x, None)], weights=Uniform(bits=3))
    layer = rough[0].parametrizations["weight"]
    step, weight = float(layer[-1].step.detach()), layer.original.detach().clone()
    given, wanted = rough[0].input_grid(x).detach(), model(x).detach()
    floor = torch.floor(weight / step)
    errors = []
    for bits in range(32):
        up = torch.tensor([[float(bits >> i & 1) for i in range(5)]])
        tried = torch.clamp(floor + up, -3, 3) * step
        errors.append(float((given @ tried.T + model[0].bias.detach() - wanted).square().mean()))
    nearest, found = round_adaptively_(rough, model, [(x, None)], AdaRound(steps=400))["0"]
    assert min(errors) * 0.999 <= found <= nearest
    assert found <= min(errors) * 1.2


@pytest.mark.parametrize("learn_steps", [False, True])
def test_training_in_integers(learn_steps):
    """A few steps lower the loss; pruned weights stay zero; steps move only if they may."""
    model = net()
    with torch.no_grad():
        model[0].weight[:, :, 0] = 0
    found = simulate(model, BATCHES, weights=Uniform(bits=3), activations=Activations(bits=4), learn_steps=learn_steps)
    steps = {n: p.detach().clone() for n, p in found.named_parameters() if n.endswith("step")}
    loss = nn.functional.cross_entropy
    before = sum(float(loss(found(x), y).detach()) for x, y in BATCHES)
    train_(found, BATCHES, FineTune(epochs=10, lr=0.01, optimizer="adam"))
    assert sum(float(loss(found(x), y).detach()) for x, y in BATCHES) < before
    assert not found[0].weight[:, :, 0].any()
    moved = [not torch.equal(dict(found.named_parameters())[n], s) for n, s in steps.items()]
    assert all(moved) if learn_steps else not any(moved)
    x = images(seed=3)
    answer = found(x)
    twin = copy.deepcopy(found)
    assert torch.equal(twin(x), answer)
    assert torch.equal(dequantize_(twin)(x), answer)
    remove_input_grids_(twin)
    assert type(twin[0]) is nn.Conv2d
    assert len(list(twin[0].children())) == 0
    assert torch.equal(found(x), answer)
    assert 0 < away(twin(x), answer) < 2


def test_refuses():
    with pytest.raises(IncompatibleError, match="even grid"):
        simulate(net(), BATCHES, weights=KMeans())
    with pytest.raises(UnknownNameError, match=r"'9\.\*' matches no layer"):
        simulate(net(), BATCHES, frozen=("9.*",))
    assert set(input_grids(simulate(net(), BATCHES, frozen=("8",)))) == {"0", "3"}
    with pytest.raises(IncompatibleError, match="bits"):
        Activations(bits=1)
