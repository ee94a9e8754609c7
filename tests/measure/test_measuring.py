import copy

import pytest
import torch
from torch import nn

from secateur.apply.masking import mask
from secateur.apply.shrinking import shrink
from secateur.bench.zoo.vit import ViT
from secateur.core.errors import IncompatibleError
from secateur.core.plan import PruningPlan
from secateur.granularity import Channel
from secateur.graph.probe import trial_widths
from secateur.graph.trace import trace
from secateur.measure import measure, measure_all


@pytest.fixture(scope="module")
def vit():
    x = torch.zeros(1, 3, 32, 32)
    model = ViT(depth=1)
    graph = trace(model, x)
    return model, x, PruningPlan(trial_widths(graph), Channel(), graph)


def test_dense_masked_and_shrunk(vit):
    model, x, plan = vit
    masked, small = mask(model, plan), shrink(model, plan)
    found = measure_all({"dense": model, "masked": masked, "small": small}, x, runtimes=())
    dense, masked_, small_ = found["dense"], found["masked"], found["small"]
    assert (masked_.macs, masked_.params, masked_.bytes) == (dense.macs, dense.params, dense.bytes)
    assert masked_.nonzeros == small_.nonzeros < dense.nonzeros
    assert small_.macs < dense.macs
    assert small_.bytes < dense.bytes
    assert dense.latency == ()


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_a_masked_network_has_a_latency(vit, runtime, monkeypatch):
    model, x, plan = vit
    found = measure(mask(model, plan), x, runtimes=(runtime,), quality=lambda _: 0.5)
    assert found.latency[0].runtime == runtime
    assert found.quality == {"quality": 0.5}


def test_nothing_is_touched(vit):
    model, x, plan = vit
    for network in (model.train(), mask(model, plan).train()):
        before, state = copy.deepcopy(network.state_dict()), torch.random.get_rng_state()

        def quality(m):
            m.eval()
            torch.rand(3)
            return {"a": 1, "b": torch.tensor(0.25)}

        assert measure(network, x, quality=quality, runtimes=()).quality == {"a": 1.0, "b": 0.25}
        assert all(m.training for m in network.modules())
        assert all(torch.equal(t, before[n]) for n, t in network.state_dict().items())
        assert torch.equal(torch.random.get_rng_state(), state)
        assert all(p.grad is None for p in network.parameters())


def test_quality_that_is_no_number():
    with pytest.raises(IncompatibleError, match="quality"):
        measure(nn.Linear(2, 2), torch.zeros(1, 2), runtimes=(), quality=lambda _: "good")
