"""Recordings without numbers: the same graph as with them, and a way back where a forward pass asks for a number."""

import pytest
import torch
from torch import nn

from secateur.core.errors import TraceError
from secateur.core.example import Example
from secateur.graph import trace as module
from secateur.graph.record import record
from secateur.graph.trace import trace
from secateur.graph.weightless import weightless
from secateur.testing.models import TINY
from secateur.testing.system import untouched


class Net(nn.Module):
    """Two layers around a function."""

    def __init__(self, function):
        super().__init__()
        self.a, self.b, self.function = nn.Linear(4, 6), nn.Linear(6, 3), function

    def forward(self, x):
        return self.b(self.function(self.a(x)))


@pytest.fixture
def with_numbers(monkeypatch):
    """How often tracing had to fall back to numbers."""
    calls = []
    real = module._with_numbers
    monkeypatch.setattr(module, "_with_numbers", lambda *a: calls.append(1) or real(*a))
    return calls


def test_the_copy_keeps_everything_but_numbers():
    model = nn.Sequential(nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last), nn.BatchNorm2d(4), nn.Linear(2, 2))
    model[2].weight = nn.Parameter(torch.randn(2, 2, dtype=torch.float16), requires_grad=False)
    model.add_module("again", model[2])
    model.kept = torch.ones(3)
    with untouched(model):
        copy, inputs = weightless(
            model.train(), Example.of((torch.zeros(2, 3, 8, 8, dtype=torch.int32), [torch.ones(1)]))
        )
    for (name, mine), (again, theirs) in zip(
        copy.state_dict(keep_vars=True).items(), model.state_dict(keep_vars=True).items(), strict=True
    ):
        assert name == again and mine.is_meta and type(mine) is type(theirs)
        assert (mine.shape, mine.stride(), mine.dtype) == (theirs.shape, theirs.stride(), theirs.dtype)
        assert mine.requires_grad == theirs.requires_grad
    assert copy.again is copy[2] and not copy.training
    assert torch.equal(copy.kept, torch.ones(3)) and copy.kept is not model.kept
    assert [(x.is_meta, x.dtype, x.shape) for x in inputs.tensors()] == [
        (True, torch.int32, (2, 3, 8, 8)),
        (True, torch.float32, (1,)),
    ]


def _shared():
    layer = nn.Linear(4, 4)
    layer.register_buffer("row", layer.weight.detach()[0])
    return layer


def _sparse():
    layer = nn.Linear(4, 4)
    layer.register_buffer("mask", torch.eye(4).to_sparse())
    return layer


def _of_another_class():
    layer = nn.Linear(4, 4)
    layer.register_buffer("mask", torch.eye(4).as_subclass(type("Own", (torch.Tensor,), {})))
    return layer


@pytest.mark.parametrize("make", [_shared, _sparse, _of_another_class])
def test_tensors_that_are_more_than_a_shape(make):
    with pytest.raises(TypeError):
        weightless(make(), Example.of(torch.zeros(1, 4)))


def test_such_tensors_are_traced_all_the_same(with_numbers):
    assert trace(_shared(), torch.zeros(1, 4)).tensors and with_numbers == [1]


@pytest.mark.parametrize("name", [name for name in TINY if name != "tied"])
def test_the_same_operators_as_with_numbers(name):
    """An independent look: the real network, recorded, calls the same operators on the same shapes."""
    model, example = TINY[name].build(), Example.of(TINY[name].example())
    copy, inputs = weightless(model, example)
    first, second = record(TINY[name].build(), example), record(copy, inputs)
    assert second.failure is None and [x.shape for x in first.outputs] == [x.shape for x in second.outputs]
    assert [(c.name, c.module, c.refs(), c.scalars(), _first(c)) for c in first.calls] == [
        (c.name, c.module, c.refs(), c.scalars(), _first(c)) for c in second.calls
    ]


def _first(call):
    """Of several results the first: what a norm saves beside it depends on the device."""
    return call.outputs[0]


def test_standard_networks_need_no_numbers(with_numbers):
    for network in TINY.values():
        trace(network.build(), network.example())
    assert with_numbers == []


def caught(number):
    try:
        return 1.0 + 0 * number().item()
    except RuntimeError:
        return 2.0


@pytest.mark.parametrize(
    "function",
    [
        lambda h: h.relu() if h.sum() < 1e9 else h.flip(1),
        lambda h: h * torch.ones(h.shape[1]).add_(h.mean()).shape[0] ** 0,
        lambda h: h.relu() if torch.zeros(6).add_(h[0]).abs().sum().item() > 0 else h.flip(1),
        lambda h: h * torch.tensor(2.0, device=h.device),
        lambda h: h * h.new_tensor([2.0]),
        lambda h: h + torch.from_numpy(h.detach().numpy() * 0),
        lambda h: h * caught(h.sum),
    ],
)
def test_a_forward_that_asks_for_numbers(function, with_numbers):
    graph = trace(Net(function), torch.randn(2, 4))
    assert with_numbers == [1]
    assert {n: g.units for n, g in graph.cuttable.items()} == {"a": 6} or "operator" in graph.groups["a"].pinned


def test_a_branch_on_a_number_is_the_one_really_taken():
    """Were numbers made up, or stale, the flip would be seen, and it would join units that have nothing to do."""
    taken = trace(
        Net(lambda h: h.relu() if torch.zeros(6).add_(h[0].exp()).sum() > 0 else h.flip(1)), torch.randn(2, 4)
    )
    assert not any("flip" in op for op in taken.unknown) and len(taken.groups["a"].slots[0].index[0]) == 1


def test_types_follow_the_input(with_numbers):
    graph = trace(Net(lambda h: h.relu().to(h.device, torch.float64).to(h)), torch.randn(2, 4))
    assert graph.cuttable["a"].units == 6 and with_numbers == []


def test_numbers_that_are_out_of_range():
    """Shapes are right, numbers are not: the model does not run, and that is what tracing says."""
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 3))
    with untouched(model), pytest.raises(TraceError, match=r"in 0: IndexError"):
        trace(model, torch.tensor([[1, 7]]))


def test_types_that_do_not_fit():
    with pytest.raises(TraceError, match=r"in a: RuntimeError"):
        trace(Net(torch.relu), torch.randn(2, 4, dtype=torch.float64))
