import sys
import time

import pytest
import torch
from torch import nn

from secateur.core.errors import UnsupportedError
from secateur.measure import environment, latencies, latency


class Sleeps(nn.Module):
    def __init__(self, seconds):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seconds = seconds

    def forward(self, x):
        time.sleep(self.seconds)
        return x * self.weight


def test_a_known_time():
    found = latency(Sleeps(0.004), torch.zeros(3, 2), repeats=10, seconds=0.02)
    assert 4 <= found.p50 <= found.p90
    assert found.p50 < 400
    assert (found.runtime, found.device, found.threads, found.batch) == ("torch", "cpu", 1, 3)
    assert found.repeats >= 10


def test_in_turn():
    order = []

    class Notes(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def forward(self, x):
            order.append(self.name)
            return x

    found = latencies({"a": Notes("a"), "b": Notes("b")}, torch.zeros(1), repeats=5, seconds=0)
    assert order == ["a", "b"] * (len(order) // 2)
    assert found["a"].repeats == found["b"].repeats == 5
    two = latencies({"slow": Sleeps(0.01), "fast": Sleeps(0.001)}, torch.zeros(1), repeats=9, seconds=0)
    assert two["slow"].p50 > two["fast"].p50


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime", "openvino"])
def test_nothing_is_touched(runtime):
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout())
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    found = latency(model, torch.zeros(1, 4), runtime=runtime, threads=2, seconds=0.01)
    assert 0 < found.p50 <= found.p90 < 1000
    assert (found.runtime, found.threads) == (runtime, 2)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.training
    assert not model[0].weight.is_inference()


def test_threads_are_put_back_after_an_error():
    class Fails(nn.Module):
        def forward(self, x):
            raise ValueError("no")

    threads = torch.get_num_threads()
    with pytest.raises(ValueError, match="no"):
        latency(Fails(), torch.zeros(1), threads=threads + 1)
    assert torch.get_num_threads() == threads


def test_unknown_or_missing_runtime(monkeypatch):
    with pytest.raises(UnsupportedError, match="torch, onnxruntime, openvino, got 'abacus'"):
        latency(nn.Identity(), torch.zeros(1), runtime="abacus")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UnsupportedError, match="pip install"):
        latency(nn.Linear(1, 1), torch.zeros(1, 1), runtime="onnxruntime")


def test_environment():
    found = environment()
    assert found["python"].startswith("3.")
    assert found["torch"].startswith(torch.__version__.partition("+")[0])
    assert {"secateur", "onnxruntime", "processor", "system"} <= set(found)
    assert int(found["cores"]) >= 1
    assert all(isinstance(x, str) and x for x in found.values())
