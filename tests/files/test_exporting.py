import sys
from typing import NamedTuple

import onnx
import pytest
import torch
from torch import nn

from secateur.core.errors import UnsupportedError, VerificationError
from secateur.core.example import Example
from secateur.files import export
from secateur.files.onnx_bytes import answers, session, to_onnx


def test_answers_as_pytorch_does(case, tmp_path):
    x = case.example if case.example.dtype == torch.long else torch.randn(2, *case.example.shape[1:])
    modes = [m.training for m in case.small.modules()]
    state = torch.random.get_rng_state()
    assert export(case.small, x, tmp_path / "net.onnx") < 1e-5
    assert [m.training for m in case.small.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), state)
    onnx.checker.check_model(onnx.load(tmp_path / "net.onnx"))
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


class Pair(NamedTuple):
    total: torch.Tensor
    product: torch.Tensor


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, a, *, b=None, factor=1.0, more=()):
        extra = sum(more) if more else 0
        return {"pair": Pair(self.linear(a) + b, a * b * factor), "extra": a + extra}


def test_keyword_and_nested_arguments(tmp_path):
    a, b, c = torch.randn(3, 2, 3).unbind(0)
    inputs = {"b": b, "a": a, "factor": 2.0, "more": [c, a]}
    assert export(Two(), inputs, tmp_path / "net.onnx") < 1e-5
    initializers = {i.name for i in onnx.load(tmp_path / "net.onnx").graph.initializer}
    assert "linear.weight" in initializers  # names are those of the model


class Unused(nn.Module):
    def forward(self, a, b):
        return a + 1


def test_an_argument_that_is_not_used(tmp_path):
    assert export(Unused(), (torch.ones(2), torch.ones(3)), tmp_path / "net.onnx") == 0


def test_opset(tmp_path):
    export(nn.Linear(2, 2), torch.zeros(1, 2), tmp_path / "net.onnx", opset=16)
    assert onnx.load(tmp_path / "net.onnx").opset_import[0].version == 16


class Chance(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


def test_a_difference_writes_nothing(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")
    with pytest.raises(VerificationError) as found:
        export(Chance(), torch.zeros(100), path)
    assert found.value.difference > 1e-3
    assert path.read_bytes() == b"old"


class Unknown(nn.Module):
    def forward(self, x):
        return torch.linalg.eigvals(x)


def test_an_operator_that_onnx_lacks(tmp_path):
    with pytest.raises(UnsupportedError, match="cannot be written as ONNX"):
        export(Unknown(), torch.eye(3), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["onnx", "onnxruntime"])
def test_missing_packages(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UnsupportedError, match=r'pip install "secateur\[onnx\]"'):
        export(nn.Linear(2, 2), torch.zeros(1, 2), tmp_path / "net.onnx")


def test_attention_and_recurrence():
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    x = torch.randn(1, 5, 16)
    found = answers(session(to_onnx(model, Example.of(x))), Example.of(x))
    assert torch.allclose(found[0], model.eval()(x), atol=1e-5)
