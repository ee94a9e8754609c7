"""Quick shapes are the ones that torch computes, and what torch refuses is refused."""

from itertools import product

import pytest
import torch

from secateur.graph.shapes import _QUICK, results_of

aten = torch.ops.aten


def tensor(*shape, dtype=torch.float32, device="meta"):
    return torch.empty(shape, dtype=dtype, device=device)


VECTORS = [None, tensor(4), tensor(3), tensor(4, 1), tensor(4, dtype=torch.float64), tensor(1)]
INPUTS = [
    tensor(2, 4),
    tensor(2, 4, 5, 5),
    tensor(2, 5, 5, 4).permute(0, 3, 1, 2),
    tensor(4, 3).t(),
    tensor(2, 4, 3, dtype=torch.float64),
    tensor(2, 4, dtype=torch.bfloat16),
    tensor(4, dtype=torch.int64),
    tensor(4),
    tensor(),
    tensor(0, 4),
    tensor(8, 4)[::2],
]
CALLS = {
    aten.native_batch_norm.default: [
        (x, w, b, m, v, t, 0.1, 1e-5)
        for x, (w, b), (m, v), t in product(
            INPUTS,
            [(None, None), *[(v, v) for v in VECTORS[1:]], (VECTORS[1], None)],
            [(None, None), (tensor(4), tensor(4)), (tensor(3), tensor(3))],
            [False, True],
        )
        if x.ndim > 1 and (t or m is not None)
    ],
    aten.native_layer_norm.default: [
        (x, list(shape), w, b, 1e-5)
        for x, shape, (w, b) in product(
            [*INPUTS, tensor(2, 3, 4)], [(4,), (5, 5), (3, 4), (3,)], [(None, None), *[(v, v) for v in VECTORS[1:]]]
        )
    ],
    aten.addmm.default: [
        (bias, a, b)
        for bias, a, b in product(
            [tensor(5), tensor(1), tensor(2, 5), tensor(4), tensor(), tensor(5, dtype=torch.float64)],
            [tensor(2, 4), tensor(4, 2).t(), tensor(2, 3), tensor(4), tensor(0, 4)],
            [tensor(4, 5), tensor(5, 4).t(), tensor(4, 5, dtype=torch.float64)],
        )
    ],
    aten.cat.default: [
        ([x, y], d)
        for x, y, d in product(
            [tensor(2, 4), tensor(2, 4, 3), tensor(4, 2).t(), tensor(0), tensor(2, 4, dtype=torch.float64)],
            [tensor(2, 4), tensor(2, 5), tensor(3, 4), tensor(2, 4, 3), tensor(0), tensor(2, 4, dtype=torch.int64)],
            [0, 1, -1, 2, 5],
        )
    ]
    + [([tensor(2, 4)],), ([tensor(2, 3, 5, 5), tensor(2, 1, 5, 5), tensor(2, 4, 5, 5)], 1)],
    aten.convolution.default: [
        (x, w, b, [s], [p], [d], t, [0], g)
        for x, w, b, s, p, d, t, g in product(
            [tensor(2, 4, 9), tensor(2, 4, 2), tensor(0, 4, 9), tensor(2, 9, 4).mT, tensor(2, 3, 9)],
            [tensor(6, 4, 3), tensor(6, 2, 3)],
            [None, tensor(6), tensor(5)],
            [1, 2],
            [0, 1],
            [1, 2],
            [False, True],
            [1, 2],
        )
    ]
    + [
        (tensor(1, 3, 8, 9), tensor(5, 3, 3, 2), None, [2, 1], [1, 0], [1, 2], False, [0, 0], 1),
        (tensor(1, 8, 9, 3).permute(0, 3, 1, 2), tensor(5, 3, 3, 2), None, [2, 1], [1, 0], [1, 2], False, [0, 0], 1),
        (tensor(1, 3, 4, 8, 9), tensor(5, 3, 3, 2, 2), tensor(5), [2, 1, 1], [1, 0, 0], [1, 2, 1], False, [0, 0, 0], 1),
    ],
    aten._safe_softmax.default: [(x, d) for x, d in product(INPUTS, [-1, 0, 1, 5])]
    + [(tensor(2, 4), 1, torch.float64), (tensor(2, 4), 1, None)],
    aten.gelu.default: [(x,) for x in INPUTS],
    aten.hardswish.default: [(x,) for x in INPUTS],
    aten.hardtanh.default: [(x, 0, 6) for x in INPUTS] + [(tensor(2, 4),), (tensor(2, 4), -1.0, 1.0)],
    aten.hardswish_.default: [(x,) for x in INPUTS],
    aten.hardtanh_.default: [(x, 0, 6) for x in INPUTS],
}


def answer(run, *args):
    try:
        out = run(*args)
    except (RuntimeError, ValueError, IndexError, NotImplementedError) as error:
        return type(error)
    return [(x.shape, x.dtype, x.stride(), x.device) for x in (out if isinstance(out, tuple) else (out,))]


def test_every_quick_operator_is_tried():
    assert set(CALLS) == set(_QUICK)


@pytest.mark.parametrize("func", CALLS, ids=str)
def test_as_torch_says(func):
    plain = []
    for args in CALLS[func]:
        wanted = answer(func, *args)
        assert answer(results_of, func, args, {}) == wanted, args
        plain.append(isinstance(wanted, list))
    assert any(plain)


def test_keywords():
    x = tensor(2, 4)
    assert answer(results_of, aten.gelu.default, (x,), {"approximate": "tanh"}) == answer(aten.gelu.default, x)
    out = results_of(aten.addmm.default, (tensor(5), x, tensor(4, 5)), {"beta": 2, "alpha": 3})
    assert out.shape == (2, 5)


def test_in_place_results_are_the_argument():
    x = tensor(2, 4)
    assert results_of(aten.hardtanh_.default, (x, 0.0, 6.0), {}) is x


def test_real_tensors_are_computed():
    assert results_of(aten.gelu.default, (torch.zeros(3),), {}).tolist() == [0, 0, 0]
    assert results_of(aten.addmm.default, (torch.ones(2), torch.ones(1, 3), torch.ones(3, 2)), {}).tolist() == [[4, 4]]
