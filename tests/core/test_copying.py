"""A copy is what `copy.deepcopy` makes."""

import copy
import pickle
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from secateur.core.copying import copied


class Own(nn.Module):
    """Says itself how it is copied."""

    def __init__(self):
        super().__init__()
        self.layer, self.copies = nn.Linear(2, 2), 0

    def __deepcopy__(self, memo):
        new = type(self)()
        memo[id(self)] = new
        new.load_state_dict(self.state_dict())
        new.copies = self.copies + 1
        return new


class Pickled(nn.Module):
    """Leaves something behind when copied."""

    def __init__(self):
        super().__init__()
        self.layer, self.lock = nn.Linear(2, 2), object()

    def __getstate__(self):
        return {**super().__getstate__(), "lock": None}


class Knotty(nn.Module):
    """Every kind of thing that a module may keep, and some of them twice."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Conv2d(2, 2, 1)
        self.tied = self.a
        self.b.bias = nn.Parameter(torch.ones(2), requires_grad=False)
        self.register_buffer("kept", torch.arange(4), persistent=False)
        self.register_buffer("none", None)
        self.parts = nn.ModuleList([nn.ReLU(), self.a])
        self.config = {"layers": [self.a, {"deep": self}], "sizes": (1, (2, 3)), "empty": {}}
        self.shared = self.again = []
        self.hooked = OrderedDict(first=[1])
        self.plain = torch.ones(2)
        self.many = (1, 2.0, "x", None, torch.float32)
        self.names = {"one"}
        self.register_forward_hook(lambda *_: None)


MODELS = {
    "knotty": Knotty,
    "own": lambda: nn.Sequential(Own(), nn.Linear(2, 2)),
    "own at the top": Own,
    "pickled": lambda: nn.Sequential(Pickled(), nn.LSTM(2, 3)),
    "transformer": lambda: nn.Transformer(8, 2, 1, 1, 8, batch_first=True),
    "parametrised": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)),
    "channels last": lambda: nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last),
    "double": lambda: nn.BatchNorm1d(3).double().eval(),
}


def shape_of(value, seen):
    """What a value is, in plain data, with every object that occurs twice marked as the one it is."""
    if isinstance(value, bool | int | float | str | type(None) | torch.dtype | type):
        return value
    if id(value) in seen:
        return "again", seen[id(value)]
    seen[id(value)] = len(seen)
    if isinstance(value, torch.Tensor):
        return type(value), value.dtype, value.requires_grad, value.stride(), value.tolist()
    if isinstance(value, dict):
        return type(value), [(k, shape_of(v, seen)) for k, v in value.items()]
    if isinstance(value, list | tuple | set):
        return type(value), [shape_of(v, seen) for v in value]
    if isinstance(value, nn.Module):
        return type(value), [(k, shape_of(v, seen)) for k, v in vars(value).items()]
    return type(value)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_it_is_a_deep_copy(make):
    model = make()
    mine, theirs = copied(model), copy.deepcopy(model)
    assert shape_of(mine, {}) == shape_of(theirs, {})
    assert not _mutable(mine) & _mutable(model)


def _mutable(model):
    """Identities of everything in a model that could be changed in place."""
    found, waiting = set(), [model]
    while waiting:
        value = waiting.pop()
        if id(value) in found or not isinstance(value, nn.Module | torch.Tensor | dict | list | set):
            waiting += value if isinstance(value, tuple) else []
            continue
        found.add(id(value))
        waiting += vars(value).values() if isinstance(value, nn.Module) else []
        waiting += value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return found


def test_hooks_of_a_copy_are_its_own():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    other = copied(model)
    other[0].register_forward_hook(lambda *_: None)
    assert len(other[0]._forward_hooks) == 1 and not model[0]._forward_hooks and not other[1]._forward_hooks


def test_tensors_in_the_place_of_others():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    new = nn.Parameter(torch.zeros(5))
    other = copied(model, {id(model[0].weight): new})
    assert other[0].weight is new and other[1].weight is new
    assert torch.equal(other[0].bias, model[0].bias) and other[0].bias is not model[0].bias


def test_what_cannot_be_copied_says_so():
    model = nn.Linear(2, 2)
    model.kept = model.weight * 2
    with pytest.raises(RuntimeError, match="deepcopy"):
        copied(model)


def test_a_copy_works_and_can_be_pickled():
    model = nn.Transformer(8, 2, 1, 1, 8, batch_first=True).eval()
    x = torch.randn(1, 3, 8)
    other = pickle.loads(pickle.dumps(copied(model)))
    assert torch.equal(other(x, x), model(x, x))
    assert parametrize.is_parametrized(copied(MODELS["parametrised"]()))
