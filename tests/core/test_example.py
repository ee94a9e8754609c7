import json

import pytest
import torch

from secateur.core.errors import TraceError
from secateur.core.example import Example
from secateur.core.rng import generator

FORMS = [
    torch.zeros(2, 3),
    (torch.zeros(2, 3), torch.arange(5)),
    [torch.zeros(2), None, 3, "word", True],
    {"x": torch.zeros(1, dtype=torch.float16), "mask": torch.tensor([True, False]), "scale": 0.5},
    ({"a": [torch.zeros(1), (torch.tensor(7), 2)], "b": {}},),
    (torch.zeros(0, 4, dtype=torch.int32), torch.zeros(2, dtype=torch.complex64), torch.zeros(2, dtype=torch.uint8)),
]


def shapes(value):
    if isinstance(value, torch.Tensor):
        return ("tensor", tuple(value.shape), value.dtype)
    if isinstance(value, tuple | list):
        return (type(value), [shapes(v) for v in value])
    if isinstance(value, dict):
        return {k: shapes(v) for k, v in value.items()}
    return value


@pytest.mark.parametrize("form", FORMS, ids=range(len(FORMS)))
def test_spec_round_trip_through_json(form):
    example = Example.of(form)
    back = Example.from_spec(json.loads(json.dumps(example.spec())), generator(0))
    assert shapes(back.args) == shapes(example.args)
    assert shapes(dict(back.kwargs)) == shapes(dict(example.kwargs))
    assert Example.of(back) is back


def test_integers_stay_in_the_range_that_was_seen():
    spec = Example.of(torch.tensor([3, 9, 5] * 50)).spec()
    found = Example.from_spec(spec, generator(0)).args[0]
    assert (int(found.min()), int(found.max())) == (3, 9)


def test_same_seed_same_values():
    spec = Example.of(torch.zeros(4)).spec()
    assert torch.equal(*(Example.from_spec(spec, generator(1)).args[0] for _ in range(2)))


def test_map_and_tensors():
    example = Example.of({"x": torch.zeros(1), "y": [torch.ones(1), "word"]})
    assert [t.item() for t in example.map(lambda t: t + 1).tensors()] == [1, 2]
    assert example.map(lambda t: t).kwargs["y"][1] == "word"


def test_call():
    example = Example.of({"input": torch.ones(1, 2)})
    assert example.call(torch.nn.Linear(2, 3)).shape == (1, 3)


@pytest.mark.parametrize("bad", [None, 3, "text"])
def test_not_inputs(bad):
    with pytest.raises(TraceError, match="example_inputs must be"):
        Example.of(bad)


def test_what_a_plan_cannot_describe():
    with pytest.raises(TraceError, match="holds a object"):
        Example.of((object(),)).spec()


def test_one_sample_more():
    x, y, z = torch.arange(6.0).view(2, 3), torch.arange(2), torch.ones(4, 2)
    wider = Example.of((x, [y], {"z": z, "n": torch.tensor(2), "s": "text"})).wider()
    first, (second,), rest = wider.args
    assert first.tolist() == [[0, 1, 2], [3, 4, 5], [2, 1, 0]] and second.tolist() == [0, 1, 0]
    assert torch.equal(rest["z"], z) and rest["n"] == 2 and rest["s"] == "text"
