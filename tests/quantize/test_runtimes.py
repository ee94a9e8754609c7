"""Integer files of two runtimes: their answers against the simulation and the original, sizes, latencies, refusals."""

import sys

import onnx
import pytest
import torch
from torch import nn

from secateur.core.errors import MissingEvidenceError, UnsupportedError
from secateur.core.example import Example
from secateur.core.rng import generator
from secateur.quantize import dequantize_, export_int8, int8_latency, integer_layers, remove_input_grids_, simulate
from secateur.quantize.saturation import exact_bits, loudest


def images(n, seed=0):
    return torch.rand(n, 3, 8, 8, generator=generator(seed, "images"))


def net():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4),
    )  # fmt: skip
    for seed in range(3):
        model(images(16, seed))
    return model.eval()


BATCHES = [(images(10, s), None) for s in range(3)]


@pytest.mark.parametrize(("runtime", "name"), [("onnxruntime", "small.onnx"), ("openvino", "small.xml")])
def test_integers_answer_nearly_as_floats(tmp_path, runtime, name):
    model = net()
    file = export_int8(model, images(2), BATCHES, tmp_path / name, runtime=runtime)
    assert file.path == tmp_path / name
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) == file.bytes
    assert 0 < file.difference < 0.05
    x = images(2, seed=7)
    with torch.no_grad():
        (answer,), wanted = file.open()(Example.of(x)), model(x)
        simulated = simulate(model, BATCHES)(x)
    assert float((answer - wanted).abs().max() / wanted.abs().max()) < 0.05
    assert float((answer - simulated).abs().max() / wanted.abs().max()) < 0.05
    times = int8_latency(model, x, file, seconds=0.02, repeats=5)
    assert list(times) == ["float32", "int8"]
    assert all((t.runtime, t.threads, t.batch) == (runtime, 1, 2) and 0 < t.p50 <= t.p90 for t in times.values())
    assert model.training is False


@pytest.mark.parametrize(("runtime", "name"), [("onnxruntime", "small.onnx"), ("openvino", "small.xml")])
def test_seven_bits_never_saturate(tmp_path, runtime, name):
    """All inputs at the top of their range and all weights alike: the sums that sixteen bits hold least."""
    model = nn.Sequential(nn.Conv2d(16, 16, 3)).eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.ones(16, 16, 3, 3))
        model[0].weight[:, ::4] = -1.0
        model[0].bias.zero_()
    x = torch.ones(1, 16, 8, 8)
    x[..., 0, 0] = 0.0  # a range that starts at zero
    data = [(x, None)] * 2
    file = export_int8(model, x, data, tmp_path / name, runtime=runtime, bits=7)
    assert file.bits == 7
    assert file.difference < 0.02
    if runtime == "onnxruntime":
        stored = [onnx.numpy_helper.to_array(t) for t in onnx.load(file.path).graph.initializer]
        assert max(abs(t.astype(int)).max() for t in stored if t.dtype == "int8" and t.ndim > 1) <= 64
    here = export_int8(model, x, data, tmp_path / name, runtime=runtime)
    assert here.difference < 0.02
    whole = export_int8(model, x, data, tmp_path / name, runtime=runtime, bits=8)
    spared = runtime == "openvino"  # NNCF gives seven to the first layer
    assert (here.bits == 8 or spared) == (whole.difference < 0.02)


def test_what_saturates_is_seen():
    """The layer that is tried has the sums it claims, by a runtime that adds exactly and by one that does not."""
    content, inputs, wanted = loudest()
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load_from_string(content).graph.initializer}
    products = stored["weight_codes"].astype(int).reshape(16, 16, 9) * 255
    exact = products.sum((1, 2)) / 255 / 127
    assert exact == pytest.approx(wanted)
    # neighbouring channels, as processors pair them
    pairs = products.reshape(16, 8, 2, 9).sum(2).clip(-(2**15), 2**15 - 1)
    clipped = pairs.sum((1, 2)) / 255 / 127
    assert exact_bits(lambda _: lambda _: [exact]) == 8
    assert exact_bits(lambda _: lambda _: [clipped]) == 7
    assert inputs["input0"].min() == inputs["input0"].max() == 1.0


def test_weights_of_a_trained_simulation_stay_on_their_grids(tmp_path):
    """The runtime finds the very codes that the simulated network has, channel by channel."""
    model = simulate(net(), BATCHES)
    codes = {name: layer.weight.codes for name, layer in integer_layers(model).items()}
    baked = remove_input_grids_(dequantize_(model))
    file = export_int8(baked, images(2), BATCHES, tmp_path / "small.onnx", bits=8)
    stored = [onnx.numpy_helper.to_array(t) for t in onnx.load(file.path).graph.initializer]
    stored = [torch.as_tensor(t.copy()).int() for t in stored if t.dtype == "int8" and t.ndim > 1]
    for wanted in codes.values():
        assert any(t.shape == wanted.shape and torch.equal(t, wanted) for t in stored)


def test_only_unsigned_activations_and_signed_weights(tmp_path):
    file = export_int8(net(), images(1), BATCHES, tmp_path / "small.onnx", range="percentile")
    graph = onnx.load(file.path).graph
    types = {t.name: t.data_type for t in graph.initializer}
    zeros = [types[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert zeros
    assert set(zeros) == {onnx.TensorProto.UINT8}


def test_refuses(tmp_path, monkeypatch):
    with pytest.raises(UnsupportedError, match="onnxruntime, openvino, got 'tflite'"):
        export_int8(net(), images(1), BATCHES, tmp_path / "x", runtime="tflite")
    with pytest.raises(UnsupportedError, match="got range='kl'"):
        export_int8(net(), images(1), BATCHES, tmp_path / "x", runtime="openvino", range="kl")
    with pytest.raises(MissingEvidenceError, match="hold no 16 samples"):
        export_int8(net(), images(16), BATCHES, tmp_path / "x")
    with pytest.raises(UnsupportedError, match="7 or 8 bits, got bits=4"):
        export_int8(net(), images(1), BATCHES, tmp_path / "x", bits=4)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UnsupportedError, match=r"secateur\[int8\]"):
        export_int8(net(), images(1), BATCHES, tmp_path / "x", runtime="openvino")
    assert not list(tmp_path.iterdir())
